// How many CPUs this process can use: the CPUs of its affinity (sched_setaffinity(2)), limited by the quota of the cpu
// controller of its cgroups (cpu.max in version 2, cfs_quota_us and cfs_period_us in version 1), rounded up.
#pragma once

#include <cstdint>

#include "master/config/cgroup.h"

namespace bulkhead::config {

// At least 1.
[[nodiscard]] std::uint32_t usable_cpus();

extern const CgroupController kCpus;

}  // namespace bulkhead::config
