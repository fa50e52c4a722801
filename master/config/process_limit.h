// How many processes there may be at a time: RLIMIT_NPROC (getrlimit(2)), which counts all that a user has and from
// which root is exempt, and pids.max of the cgroups (cgroups(7)), which counts everybody's, threads and zombies too.
#pragma once

#include <cstdint>

#include "master/config/cgroup.h"
#include "master/config/host.h"

namespace bulkhead::config {

// For processes of this user that this process starts: the stricter of the two.
[[nodiscard]] ProcessLimit process_limit(std::uint32_t uid);

extern const CgroupController kPids;

}  // namespace bulkhead::config
