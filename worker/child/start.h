// Begins a connection child for a built-in handler or a program (for a module: modules/loaded_modules.h). The child
// has its own session, default signals, an empty mask, the connection, its standard error (a built-in's: /dev/null),
// and no other open descriptor.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "worker/confine/confine.h"
#include "worker/confine/walls.h"
#include "worker/ipc/message.h"
#include "worker/ipc/plan.h"

namespace bulkhead::child {

inline constexpr std::size_t kTitleRoom = 160;  // bytes of a connection's title that are shown

struct BuiltIn {
  int connection;
  std::string_view title;
  // Serves the client at descriptor 0 and returns the exit status. Runs in the child: raw calls (worker/sys/raw.h), no
  // allocation, none of the worker's heap or stack.
  int (*serve)(std::int64_t idle_timeout_ns) noexcept;
  std::int64_t idle_timeout_ns;  // 0: none
  int walls = -1;                // confine::enter_walls(); for a child that takes on limits, theirs counts
};

// The result of a start.
struct Started {
  pid_t pid = -1;        // -1: no process, for the reason in `failure.error` (errno)
  ipc::Failure failure;  // otherwise: where the child broke off; it has exited and waits to be reaped
};

// Clones without exec; the child serves the client and leaves by _exit, it never returns. The kernel writes the pid to
// `*pid_slot` before the child exists (CLONE_PARENT_SETTID, clone(2)), so that the master, if it finds this worker
// dead, knows of the child. No atfork handler runs: libuv's would rebuild descriptors that the child closes at once.
// The child runs on a small stack of its own and has neither the worker's stack nor its heap (worker/sys/fork_diet.h):
// it gets a copy of the request, and what it calls must not allocate.
[[nodiscard]] Started start_built_in(const BuiltIn& request, std::int32_t* pid_slot) noexcept;

// The same for a child that takes on limits first. The worker waits for this, some microseconds, so that a child that
// cannot take them on is a refused connection, and none serves half-confined.
[[nodiscard]] Started start_limited_built_in(const BuiltIn& request, const confine::Limits& limits,
                                             std::int32_t* pid_slot) noexcept;

// Where the program finds its connection.
//
//               0           1           2           3
//   ucspi       connection  connection  the log
//   inetd       connection  connection  connection
//   listen_fds  /dev/null   the log     the log     connection     (systemd.socket(5), Accept=yes)
// `socket_as_error` overrides this for 2. The next one, 3 or 4, is the drain notice, if the program wants it.
struct Exec {
  int connection;
  int error_fd;  // becomes 2, and listen_fds's 1
  ipc::HandlerStyle style;
  bool socket_as_error;  // 2 is the connection too
  const char* path;
  const char* const* argv;
  const char* const* environment;
  char* pid_field;  // listen_fds: the child writes its own pid here, into its environment
  const confine::Limits* limits;
  int drain_fd = -1;                      // -1: none
  std::uint32_t spaces = 0;               // what it has for itself (worker/confine/spaces.h)
  const confine::Reach* reach = nullptr;  // where the rules of its walls name what only it has; null: they are made
  const ipc::Confinement* confinement = nullptr;  // for these rules
  bool scoped = false;
  bool kill_group = true;
  std::string_view title;  // of the processes around a program with process numbers of its own
};

// The number that the drain notice has in a program of this style.
[[nodiscard]] constexpr int place_of_drain_notice(ipc::HandlerStyle style) noexcept {
  return style == ipc::HandlerStyle::listen_fds ? 4 : 3;
}

// Clones with CLONE_VM|CLONE_VFORK: the worker sleeps until the child has exec'd or ended, so a failure is known at
// once and the cost does not grow with the worker's memory. Between clone and exec the child runs on a small stack of
// its own in our memory: async-signal-safe calls only, no allocation.
[[nodiscard]] Started start_exec(const Exec& request, std::int32_t* pid_slot) noexcept;

// The same for a program with process numbers of its own (worker/confine/reaper.h). The process whose pid is in the
// slot lives as long as the program, so it gets a copy of the worker's memory, heap and plan included. The worker waits
// until the program is executed.
[[nodiscard]] Started start_exec_inside(const Exec& request, std::int32_t* pid_slot) noexcept;

}  // namespace bulkhead::child
