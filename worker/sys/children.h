// The children of a process, whatever process groups and sessions they have made: /proc/PID/task/TID/children
// (proc(5)), of which every distribution's kernel has one; without it there seem to be none. For processes with one
// thread.
#pragma once

#include <sys/types.h>

#include <vector>

#include "worker/sys/fd.h"

namespace bulkhead::sys {

// The pids of all of them, zombies included, a slice at a time: with thousands a whole walk takes tens of milliseconds,
// a slice about 2 ms at most.
class ChildWalk {
 public:
  // Those of this process, or of another one.
  explicit ChildWalk(pid_t parent = 0) : parent_(parent) {}
  // Some hundred of them. Children that are born or adopted meanwhile may be missing.
  [[nodiscard]] std::vector<pid_t> next() noexcept;
  // The last slice has been read, and the next one begins again.
  [[nodiscard]] bool at_end() const noexcept { return !file_; }

 private:
  pid_t parent_;
  Fd file_;
  pid_t cut_ = 0;  // what the last slice has of a number that goes on in the next
};

// Kills and reaps all of them, and then what these leave to us, if this process is a subreaper (prctl(2)). Blocks. A
// child that we may not signal stays.
void end_children() noexcept;

}  // namespace bulkhead::sys
