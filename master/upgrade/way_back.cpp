#include "master/upgrade/way_back.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sysexits.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <memory>
#include <utility>

#include "worker/sys/signal.h"
#include "worker/sys/signal_name.h"

namespace bulkhead::upgrade {

namespace {

constexpr std::array kFatal{SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGALRM};
constexpr std::size_t kStackSize = std::size_t{64} * 1024;

struct WayBack {
  int program;
  std::vector<std::string> argument_texts;
  std::vector<std::string> environment_texts;
  std::vector<char*> arguments;
  std::vector<char*> environment;
  std::array<std::string, kFatal.size()> last_arguments;  // one for each signal
  std::array<struct sigaction, kFatal.size()> actions_before;
  stack_t stack_before;
  sigset_t mask;
};

std::unique_ptr<WayBack> the_way;
alignas(16) std::array<char, kStackSize> stack;

// Async-signal-safe.
[[noreturn]] void go(WayBack& way, const std::string& last_argument) noexcept {
  alarm(0);
  sigprocmask(SIG_SETMASK, &way.mask, nullptr);
  *(way.arguments.end() - 2) = const_cast<char*>(last_argument.c_str());  // execve reads only
  execveat(way.program, "", way.arguments.data(), way.environment.data(), AT_EMPTY_PATH);
  _exit(EX_OSERR);
}

extern "C" void on_fatal_signal(int signal) {
  for (std::size_t i = 0; i < kFatal.size(); ++i) {
    if (kFatal[i] == signal) go(*the_way, the_way->last_arguments[i]);
  }
}

std::string reason_of(int signal) {
  if (signal == SIGALRM) return fmt::format("the new program did not take over within {} s", kTakeOverPatience.count());
  return fmt::format("the new program got {} while it took over", sys::signal_name(signal));
}

std::vector<char*> pointers_to(std::vector<std::string>& strings) {
  std::vector<char*> out;
  out.reserve(strings.size() + 1);
  for (std::string& one : strings) out.push_back(one.data());
  out.push_back(nullptr);
  return out;
}

void catch_signals(WayBack& way) {
  const stack_t own{stack.data(), 0, stack.size()};
  sigaltstack(&own, &way.stack_before);
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  sigaction(SIGALRM, &ignore, nullptr);  // a pending alarm belongs to the new program
  for (std::size_t i = 0; i < kFatal.size(); ++i) {
    struct sigaction ours {};
    ours.sa_handler = on_fatal_signal;
    ours.sa_flags = SA_ONSTACK;
    sigaction(kFatal[i], &ours, &way.actions_before[i]);
  }
  way.actions_before.back().sa_handler = SIG_DFL;
  sigset_t own_mask = way.mask;
  for (const int signal : kFatal) sigdelset(&own_mask, signal);
  sigprocmask(SIG_SETMASK, &own_mask, nullptr);
  alarm(static_cast<unsigned>(kTakeOverPatience.count()));
}

}  // namespace

void open_way_back(int program, std::vector<std::string> arguments) {
  auto way = std::make_unique<WayBack>();
  way->program = program;
  way->argument_texts = std::move(arguments);
  for (char** entry = environ; *entry != nullptr; ++entry) way->environment_texts.emplace_back(*entry);
  way->arguments = pointers_to(way->argument_texts);
  way->environment = pointers_to(way->environment_texts);
  for (std::size_t i = 0; i < kFatal.size(); ++i) {
    way->last_arguments[i] = way->argument_texts.back() + reason_of(kFatal[i]);
  }
  sigprocmask(SIG_SETMASK, nullptr, &way->mask);
  the_way = std::move(way);
  catch_signals(*the_way);
}

bool is_way_back_open() noexcept {
  return the_way != nullptr;
}

void take_way_back(const std::string& reason) noexcept {
  if (the_way != nullptr) go(*the_way, the_way->argument_texts.back() + reason);
}

void close_way_back() noexcept {
  if (the_way == nullptr) return;
  alarm(0);
  sigprocmask(SIG_SETMASK, &the_way->mask, nullptr);
  for (std::size_t i = 0; i < kFatal.size(); ++i) sigaction(kFatal[i], &the_way->actions_before[i], nullptr);
  if ((the_way->stack_before.ss_flags & SS_DISABLE) != 0) the_way->stack_before.ss_size = stack.size();
  sigaltstack(&the_way->stack_before, nullptr);
  the_way.reset();
}

}  // namespace bulkhead::upgrade
