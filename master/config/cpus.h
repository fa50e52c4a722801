// How many CPUs this process may really use: what sched_setaffinity left it, and what the cpu controller of its cgroup
// and of all cgroups above grants (cpu.max in version 2, cfs_quota_us and cfs_period_us in version 1), rounded up.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace bulkhead::config {

// At least 1.
[[nodiscard]] std::uint32_t usable_cpus();

// The cgroup part alone, in CPUs; 0 when there is no limit. `membership` is the text of /proc/self/cgroup, `mount` is
// where the hierarchies are mounted (/sys/fs/cgroup).
[[nodiscard]] std::uint32_t cgroup_cpus(std::string_view membership, const std::string& mount);

}  // namespace bulkhead::config
