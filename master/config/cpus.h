// How many CPUs this process can use: the CPUs of its affinity (sched_setaffinity(2)), limited by the quota of the cpu
// controller of its cgroups (cpu.max in version 2, cfs_quota_us and cfs_period_us in version 1), rounded up.
#pragma once

#include <cstdint>
#include <string_view>

#include "master/config/cgroup.h"

namespace bulkhead::config {

// At least 1. `membership` is the text of /proc/self/cgroup.
[[nodiscard]] std::uint32_t usable_cpus(std::string_view membership);

extern const CgroupController kCpus;

}  // namespace bulkhead::config
