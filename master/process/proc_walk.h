// A walk through /proc, a slice at a time: with thousands of processes a whole one takes tens of milliseconds, and the
// master must not be away for so long. A slice takes about 2 ms at most.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>

#include "worker/sys/fd.h"

namespace bulkhead::process {

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
  void restart() noexcept {
    proc_.reset();
    member_ = 0;
  }
  // The one that was found last; 0: none.
  [[nodiscard]] pid_t member() const noexcept { return member_; }

 private:
  sys::Fd proc_;
  pid_t member_ = 0;
};

// Whether a process that we can see has this real user; a zombie has, too. The kernel looks, in microseconds.
[[nodiscard]] bool is_user_running(std::uint32_t uid) noexcept;

}  // namespace bulkhead::process
