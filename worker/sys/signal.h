// Signals as bulkhead uses them: no handlers anywhere, except for a new program's way back from an upgrade
// (master/upgrade/way_back.h). The signals that a process acts on, and those it must survive, stay blocked for its
// whole life and are read from a signalfd (signalfd(2)); every disposition is the default. So nothing runs
// asynchronously, nothing has to be blocked around fork, and a child needs one call, an empty mask, to be as exec(2)
// expects it: pending signals are not inherited, and no disposition has to be put back.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <csignal>
#include <initializer_list>
#include <optional>
#include <span>

#include "worker/sys/fd.h"

namespace bulkhead::sys {

// Sets every disposition to its default and blocks exactly `blocked`. For the first lines of main(): signals that our
// own parent ignored or blocked (nohup, a careless supervisor) must not stay so in our children. Async-signal-safe.
void take_over_signals(std::initializer_list<int> blocked) noexcept;

// A close-on-exec, nonblocking signalfd for `signals`, which must be blocked. -1 and errno on failure.
[[nodiscard]] Fd open_signal_fd(std::initializer_list<int> signals) noexcept;
// Chooses which signals it reads from now on. The others stay pending, one of each kind, and make it readable when they
// are chosen again.
void choose_signals(int signal_fd, std::span<const int> signals) noexcept;

// Empty mask. For a child, before it runs foreign code. Async-signal-safe; no allocation; allowed after vfork.
void unblock_all_signals() noexcept;

// kill(2) for one process that is our unreaped child. Refuses pids that mean a group, all processes or init: false,
// EINVAL.
bool signal_process(pid_t pid, int signal) noexcept;

// Signals the process group that `leader` leads or led; the leader itself while it has not called setsid() yet.
// `leader` must be an unreaped child (its pid cannot have been recycled), or known to be gone while its group is not.
bool signal_group(pid_t leader, int signal) noexcept;

// Whether `child`, an unreaped child of ours, has ended: no signal reaches it any more. Reaps nothing.
[[nodiscard]] bool has_ended(pid_t child) noexcept;

// How `child`, of which has_ended() is true, has ended: a status as of wait(2).
[[nodiscard]] int status_of(pid_t child) noexcept;

// How a child ended, as wait4(2) tells it.
struct Ended {
  int wait_status = 0;
  rusage usage{};
  bool group_lives = false;  // processes of its group are left: see LeftoverGroup
};
// Reaps `leader`, an unreaped child that has ended. With `group`, what is left of the process group that it led is
// first asked to end (TERM, then CONT), while the zombie still holds the group's number. Members that we may not
// signal, as a set-user-ID program's, count as left. Nothing: it was not ours to reap.
[[nodiscard]] std::optional<Ended> end_group(pid_t leader, bool group) noexcept;

// The remains of a process group whose leader has been reaped. The kernel frees a number only with its last user, so a
// group that is always there is the same one; if its number is a process again, the group has ended in between and the
// number belongs to another.
enum class LeftoverGroup { gone, alive, killed };
[[nodiscard]] bool is_left_over(pid_t group) noexcept;
// Ends it: SIGKILL if it still exists and is `due`; afterwards nothing remains to be done, as for a group that is gone.
LeftoverGroup end_left_over(pid_t group, bool due) noexcept;

// Calls signal_group() or signal_process(), as `group` says.
bool signal_child(pid_t leader, int signal, bool group) noexcept;
// The same for a signal that asks it to end, or for SIGKILL. Any but SIGKILL is followed by SIGCONT, because a stopped
// process does not act on it before.
bool ask_or_kill(pid_t leader, int signal, bool group) noexcept;

}  // namespace bulkhead::sys
