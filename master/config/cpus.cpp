#include "master/config/cpus.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

namespace bulkhead::config {
namespace {

// The CPUs that one quota allows, rounded up; 0 without a quota ("max", -1, unreadable).
std::uint32_t quota_cpus(std::optional<std::int64_t> quota, std::optional<std::int64_t> period) {
  if (!quota || !period || *quota <= 0 || *period <= 0) return 0;
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>((*quota - 1) / *period + 1, 1, 65536));
}

std::uint32_t quota_v2(const std::string& directory) {
  const std::string text = cgroup_text(directory + "/cpu.max");
  const std::size_t space = text.find(' ');
  if (space == std::string::npos) return 0;
  return quota_cpus(leading_number(text), leading_number(std::string_view(text).substr(space + 1)));
}

std::uint32_t quota_v1(const std::string& directory) {
  return quota_cpus(leading_number(cgroup_text(directory + "/cpu.cfs_quota_us")),
                    leading_number(cgroup_text(directory + "/cpu.cfs_period_us")));
}

std::uint32_t affinity_cpus() {
  // The kernel refuses a set that is smaller than its own, so the set grows until it fits.
  for (int size = 1024; size <= 1 << 20; size *= 2) {
    const std::unique_ptr<cpu_set_t, void (*)(cpu_set_t*)> set(CPU_ALLOC(static_cast<std::size_t>(size)),
                                                               [](cpu_set_t* s) { CPU_FREE(s); });
    const std::size_t bytes = CPU_ALLOC_SIZE(static_cast<std::size_t>(size));
    if (sched_getaffinity(0, bytes, set.get()) == 0) {
      return static_cast<std::uint32_t>(std::max(1, CPU_COUNT_S(bytes, set.get())));
    }
  }
  return static_cast<std::uint32_t>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
}

}  // namespace

const CgroupController kCpus{"cpu", quota_v1, quota_v2};

std::uint32_t usable_cpus(std::string_view membership) {
  const std::uint32_t affinity = affinity_cpus();
  const std::uint32_t quota = cgroup_limit(kCpus, membership).value;
  return quota == 0 ? affinity : std::min(affinity, quota);
}

}  // namespace bulkhead::config
