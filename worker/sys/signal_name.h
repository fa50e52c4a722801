// Signals by name. Names are those of `kill -l` of bash(1). Pure, allocates nothing.
#pragma once

#include <csignal>
#include <cstddef>
#include <iterator>
#include <string_view>

namespace bulkhead::sys {

inline constexpr const char* kSignalNames[] = {
    "signal 0",    "SIGHUP",      "SIGINT",      "SIGQUIT",     "SIGILL",      "SIGTRAP",     "SIGABRT",
    "SIGBUS",      "SIGFPE",      "SIGKILL",     "SIGUSR1",     "SIGSEGV",     "SIGUSR2",     "SIGPIPE",
    "SIGALRM",     "SIGTERM",     "SIGSTKFLT",   "SIGCHLD",     "SIGCONT",     "SIGSTOP",     "SIGTSTP",
    "SIGTTIN",     "SIGTTOU",     "SIGURG",      "SIGXCPU",     "SIGXFSZ",     "SIGVTALRM",   "SIGPROF",
    "SIGWINCH",    "SIGIO",       "SIGPWR",      "SIGSYS",      "signal 32",   "signal 33",   "SIGRTMIN",
    "SIGRTMIN+1",  "SIGRTMIN+2",  "SIGRTMIN+3",  "SIGRTMIN+4",  "SIGRTMIN+5",  "SIGRTMIN+6",  "SIGRTMIN+7",
    "SIGRTMIN+8",  "SIGRTMIN+9",  "SIGRTMIN+10", "SIGRTMIN+11", "SIGRTMIN+12", "SIGRTMIN+13", "SIGRTMIN+14",
    "SIGRTMIN+15", "SIGRTMAX-14", "SIGRTMAX-13", "SIGRTMAX-12", "SIGRTMAX-11", "SIGRTMAX-10", "SIGRTMAX-9",
    "SIGRTMAX-8",  "SIGRTMAX-7",  "SIGRTMAX-6",  "SIGRTMAX-5",  "SIGRTMAX-4",  "SIGRTMAX-3",  "SIGRTMAX-2",
    "SIGRTMAX-1",  "SIGRTMAX"};
static_assert(std::size(kSignalNames) == NSIG);
inline constexpr int kFirstRealTime = SIGSYS + 1;  // of the kernel's; the C library keeps two for itself
inline constexpr int kRealTimeMin = kFirstRealTime + 2;
inline constexpr int kRealTimeMax = NSIG - 1;

// Whether a process can be sent it by name.
[[nodiscard]] constexpr bool is_named_signal(int signal) noexcept {
  return (signal > 0 && signal < kFirstRealTime) || (signal >= kRealTimeMin && signal <= kRealTimeMax);
}

// "SIGTERM", "SIGRTMIN+3"; "signal 32" for a signal without a name. Static storage.
[[nodiscard]] constexpr const char* signal_name(int signal) noexcept {
  return signal >= 0 && signal < NSIG ? kSignalNames[signal] : "an unknown signal";
}

// The number of "RTMIN", "RTMIN+3", "RTMAX-14", "RTMAX"; 0 for any other word.
[[nodiscard]] constexpr int real_time_number(std::string_view name) noexcept {
  constexpr std::size_t kBase = 5;  // of "RTMIN" and "RTMAX"
  const bool from_first = name.starts_with("RTMIN");
  if (!from_first && !name.starts_with("RTMAX")) return 0;
  const int base = from_first ? kRealTimeMin : kRealTimeMax;
  name.remove_prefix(kBase);
  if (name.empty()) return base;
  const bool well_formed =
      name.size() >= 2 && name.size() <= 3 && name[0] == (from_first ? '+' : '-') && name[1] != '0';
  if (!well_formed) return 0;
  int distance = 0;
  for (const char digit : name.substr(1)) {
    if (digit < '0' || digit > '9') return 0;
    distance = distance * 10 + (digit - '0');
  }
  const int signal = from_first ? base + distance : base - distance;
  return signal >= kRealTimeMin && signal <= kRealTimeMax ? signal : 0;
}

// The number of "SIGTERM" or "TERM", "SIGRTMIN+3" or "RTMIN+3"; 0 for any other word.
[[nodiscard]] constexpr int signal_number(std::string_view name) noexcept {
  constexpr std::string_view kPrefix = "SIG";
  if (name.starts_with(kPrefix)) name.remove_prefix(kPrefix.size());
  for (int signal = 1; signal < kFirstRealTime; ++signal) {
    if (std::string_view(kSignalNames[signal]).substr(kPrefix.size()) == name) return signal;
  }
  return name == "POLL" ? SIGPOLL : real_time_number(name);  // the other name of SIGPOLL is SIGIO
}

}  // namespace bulkhead::sys
