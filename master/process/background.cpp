#include "master/process/background.h"

#include <algorithm>

namespace bulkhead::process {

bool has_left_some_running(ChildSystem& system, pid_t leader, const std::function<bool(pid_t)>& is_known) {
  if (system.has_living_child_in(leader)) return true;
  const auto began = system.start_time(leader);
  const auto user = system.real_user(leader);
  const auto is_its = [&](pid_t pid) {
    if (pid == leader || is_known(pid) || is_known(system.group_of(pid)) || system.has_ended(pid)) return false;
    return system.start_time(pid) >= began && system.real_user(pid) == user;
  };
  constexpr int kMostSlices = 8;  // of about 2 ms: with thousands of connections it is not looked for to the end
  sys::ChildWalk walk;
  for (int slice = 0; began && slice < kMostSlices; ++slice) {
    if (std::ranges::any_of(system.next_children(walk), is_its)) return true;
    if (walk.at_end()) break;
  }
  return false;
}

}  // namespace bulkhead::process
