// The way back from an upgrade: while a new program takes over, the one before can be executed again, with the very
// state and descriptors that have come along. Code that finds a problem takes it; and it is taken by itself when the
// new program gets a signal that would end it (SIGSEGV, SIGABRT, …), or has not closed it within kPatience.
//
// So there are signal handlers, the only ones in bulkhead (worker/sys/signal.h). Why they are harmless:
//   - They exist from the first lines of main() until the new program has taken over: one thread, no loop that turns,
//     no fork, nothing that is waited for; execve(2) or close_way_back() takes all of them away.
//   - None returns, so that nothing goes on half interrupted. The only deed is execveat(2), with arguments that were
//     made when the way was opened: no memory, no lock, no stdio, a stack of its own (sigaltstack(2)).
//   - Without them the same signals would end the master.
// What execve(2) keeps, the mask and the timer of alarm(2), is put back first; what it drops, every descriptor that the
// new program has opened, is close-on-exec. What came along is not, until the way is closed.
//
// Only once: the program before is executed without a way back. What fails before main() was proved by the dry run.
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace bulkhead::upgrade {

inline constexpr std::chrono::seconds kTakeOverPatience{5};

// To `program`, a descriptor of the file to be executed. The reason is appended to the last argument. The environment
// is the present one.
void open_way_back(int program, std::vector<std::string> arguments);
[[nodiscard]] bool is_way_back_open() noexcept;
// Returns at once if it is not open; and never otherwise, for where execve fails the process ends.
void take_way_back(const std::string& reason) noexcept;
void close_way_back() noexcept;

}  // namespace bulkhead::upgrade
