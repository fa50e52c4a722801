// Two walks through /proc, a slice at a time: with thousands of processes a whole one takes tens of milliseconds, and
// the master must not be away for so long. A slice takes about 2 ms at most.
#pragma once

#include <sys/types.h>

#include <optional>
#include <vector>

#include "worker/sys/fd.h"

namespace bulkhead::process {

// The pids of all children of this process, zombies included (/proc/PID/task/TID/children, proc(5), of which every
// distribution's kernel has one; without it a walk finds nobody).
class ChildWalk {
 public:
  // Some hundred of them. Who is born or adopted meanwhile may be missing.
  [[nodiscard]] std::vector<pid_t> next() noexcept;
  // The last slice has been read, and the next one begins again.
  [[nodiscard]] bool at_end() const noexcept { return !file_; }

 private:
  sys::Fd file_;
  pid_t cut_ = 0;  // what the last slice has of a number that goes on in the next
};

// Whether a child of this process lives in the process group that `leader` led. `leader` is a zombie child that has not
// been reaped, so that the number is still its group's. Zombies do not live: they hold no port and no file.
[[nodiscard]] bool has_living_child_in(pid_t leader) noexcept;

// The same for processes that are no children of ours. A member whose parent has ended is one
// (PR_SET_CHILD_SUBREAPER); but a parent may live on and have left the group itself. kill(2) cannot tell such a member
// from the zombie that leads the group, so all processes are looked at.
class GroupScan {
 public:
  // Nothing: not known yet, ask again soon.
  [[nodiscard]] std::optional<bool> finds(pid_t leader) noexcept;
  void restart() noexcept { proc_.reset(); }

 private:
  sys::Fd proc_;
};

}  // namespace bulkhead::process
