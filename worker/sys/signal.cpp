#include "worker/sys/signal.h"

#include <sys/signalfd.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstring>

namespace bulkhead::sys {

namespace {

template <class Signals>
sigset_t make_set(const Signals& signals) noexcept {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) sigaddset(&set, signal);
  return set;
}

// A process, or for negative numbers a group.
bool exists(pid_t pid) noexcept {
  return ::kill(pid, 0) == 0 || errno == EPERM;
}

}  // namespace

void take_over_signals(std::initializer_list<int> blocked) noexcept {
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) {
    struct sigaction present {};
    // A sanitizer's own handlers for faults stay: only an inherited SIG_IGN comes from outside.
    if (sigaction(signal, nullptr, &present) == 0 && present.sa_handler == SIG_IGN)
      sigaction(signal, &standard, nullptr);
  }
  const sigset_t set = make_set(blocked);
  sigprocmask(SIG_SETMASK, &set, nullptr);
}

Fd open_signal_fd(std::initializer_list<int> signals) noexcept {
  const sigset_t set = make_set(signals);
  return Fd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

void choose_signals(int signal_fd, std::span<const int> signals) noexcept {
  const sigset_t set = make_set(signals);
  (void)signalfd(signal_fd, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

void unblock_all_signals() noexcept {
  sigset_t set;
  sigemptyset(&set);
  sigprocmask(SIG_SETMASK, &set, nullptr);
}

bool has_ended(pid_t child) noexcept {
  siginfo_t info{};
  const bool known = waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT) == 0;
  return known && info.si_pid == child;
}

int status_of(pid_t child) noexcept {
  siginfo_t info{};
  if (waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT) != 0) return 0;
  constexpr int kCoreFlag = 0x80;
  switch (info.si_code) {
    case CLD_EXITED: return info.si_status << 8;
    case CLD_DUMPED: return info.si_status | kCoreFlag;
    default: return info.si_status;
  }
}

bool is_left_over(pid_t group) noexcept {
  return group > 1 && exists(-group) && !exists(group);
}

LeftoverGroup end_left_over(pid_t group, bool due) noexcept {
  if (!is_left_over(group)) return LeftoverGroup::gone;
  if (!due) return LeftoverGroup::alive;
  ::kill(-group, SIGKILL);
  return LeftoverGroup::killed;
}

bool signal_process(pid_t pid, int signal) noexcept {
  if (pid <= 1) {
    errno = EINVAL;
    return false;
  }
  return ::kill(pid, signal) == 0;
}

bool signal_group(pid_t leader, int signal) noexcept {
  if (leader <= 1 || leader == getpgrp()) {
    errno = EINVAL;
    return false;
  }
  if (::kill(-leader, signal) == 0) return true;
  return errno == ESRCH && ::kill(leader, signal) == 0;
}

bool signal_child(pid_t leader, int signal, bool group) noexcept {
  return group ? signal_group(leader, signal) : signal_process(leader, signal);
}

bool ask_or_kill(pid_t leader, int signal, bool group) noexcept {
  const bool sent = signal_child(leader, signal, group);
  if (signal != SIGKILL) signal_child(leader, SIGCONT, group);
  return sent;
}

std::optional<Ended> end_group(pid_t leader, bool group) noexcept {
  if (group) ask_or_kill(leader, SIGTERM, true);
  Ended out;
  if (wait4(leader, &out.wait_status, 0, &out.usage) != leader) return std::nullopt;
  out.group_lives = group && (::kill(-leader, 0) == 0 || errno == EPERM);
  return out;
}

}  // namespace bulkhead::sys
