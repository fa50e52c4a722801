// How many processes may exist at a time: RLIMIT_NPROC (getrlimit(2)), which counts all processes of a user and does
// not apply to root, and pids.max of the cgroups (cgroups(7)), which counts the processes of all users, with threads
// and zombies.
#pragma once

#include <cstdint>
#include <string_view>

#include "master/config/cgroup.h"
#include "master/config/host.h"

namespace bulkhead::config {

// The stricter of the two, for processes of root or of another user that this process starts. `membership` is the text
// of /proc/self/cgroup.
enum class ProcessOwner : std::uint8_t { root, other };
[[nodiscard]] ProcessLimit process_limit(ProcessOwner owner, std::string_view membership);

extern const CgroupController kPids;

}  // namespace bulkhead::config
