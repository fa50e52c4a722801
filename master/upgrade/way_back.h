// The way back from an upgrade: while a new program takes over, the previous one can be executed again, with the same
// state and descriptors. Code that finds a problem takes the way back; it is also taken automatically when the new
// program gets a signal that would end it (SIGSEGV, SIGABRT, …), or has not closed it within kPatience.
//
// So there are signal handlers, the only ones in bulkhead (worker/sys/signal.h). Why they are harmless:
//   - They exist from the first lines of main() until the new program has taken over: one thread, no running loop,
//     no fork, no blocking wait; execve(2) or close_way_back() takes all of them away.
//   - None returns, so that no code continues half interrupted. The only action is execveat(2), with arguments that
//     were made when the way was opened: no memory, no lock, no stdio, a stack of its own (sigaltstack(2)).
//   - Without them the same signals would end the master.
// The signal mask and the timer of alarm(2), which execve(2) keeps, are restored first. Every descriptor that the new
// program has opened is close-on-exec; the descriptors that were passed on are not, until the way is closed.
//
// Only once:
// the previous program is executed without a way back. Failures before main() are found by the dry run.
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace bulkhead::upgrade {

inline constexpr std::chrono::seconds kTakeOverPatience{5};

// `program` is a descriptor of the file to be executed. The reason is appended to the last argument. The environment is
// the present one.
void open_way_back(int program, std::vector<std::string> arguments);
[[nodiscard]] bool is_way_back_open() noexcept;
// Returns at once if the way is not open. Otherwise it never returns: if execve fails, the process ends.
void take_way_back(const std::string& reason) noexcept;
void close_way_back() noexcept;

}  // namespace bulkhead::upgrade
