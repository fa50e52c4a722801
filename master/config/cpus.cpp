#include "master/config/cpus.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>

namespace bulkhead::config {
namespace {

std::string slurp(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return file ? text.str() : "";
}

std::optional<std::int64_t> leading_number(std::string_view text) {
  std::int64_t out = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), out);
  if (result.ec != std::errc()) return std::nullopt;
  return out;
}

// CPUs of one quota; 0 when it is none ("max", -1, unreadable).
std::uint32_t quota_cpus(std::optional<std::int64_t> quota, std::optional<std::int64_t> period) {
  if (!quota || !period || *quota <= 0 || *period <= 0) return 0;
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>((*quota - 1) / *period + 1, 1, 65536));
}

std::uint32_t quota_v2(const std::string& directory) {
  const std::string text = slurp(directory + "/cpu.max");
  const std::size_t space = text.find(' ');
  if (space == std::string::npos) return 0;
  return quota_cpus(leading_number(text), leading_number(std::string_view(text).substr(space + 1)));
}

std::uint32_t quota_v1(const std::string& directory) {
  return quota_cpus(leading_number(slurp(directory + "/cpu.cfs_quota_us")),
                    leading_number(slurp(directory + "/cpu.cfs_period_us")));
}

// The strictest of a cgroup and all above it. In a container the upper ones may be out of sight; then nothing is read.
template <class Quota>
std::uint32_t strictest(const std::string& mount, std::string path, const Quota& quota) {
  std::uint32_t least = 0;
  for (;;) {
    const std::uint32_t here = quota(mount + path);
    if (here != 0 && (least == 0 || here < least)) least = here;
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos) return least;
    path.resize(slash);
  }
}

bool lists_controller(std::string_view controllers, std::string_view name) {
  while (!controllers.empty()) {
    const std::size_t comma = std::min(controllers.find(','), controllers.size());
    if (controllers.substr(0, comma) == name) return true;
    controllers.remove_prefix(std::min(comma + 1, controllers.size()));
  }
  return false;
}

// One line of /proc/self/cgroup: hierarchy:controllers:path; version 2 is hierarchy 0, without controllers.
std::uint32_t line_cpus(std::string_view line, const std::string& mount) {
  const std::size_t first = line.find(':');
  const std::size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
  if (second == std::string_view::npos) return 0;
  const std::string_view controllers = line.substr(first + 1, second - first - 1);
  const std::string path(line.substr(second + 1));
  if (line.substr(0, second) == "0:") return strictest(mount, path, quota_v2);
  if (lists_controller(controllers, "cpu")) return strictest(mount + "/cpu", path, quota_v1);
  return 0;
}

std::uint32_t affinity_cpus() {
  // The kernel refuses a set smaller than its own, so grow until it fits.
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

std::uint32_t cgroup_cpus(std::string_view membership, const std::string& mount) {
  std::uint32_t least = 0;
  while (!membership.empty()) {
    const std::size_t end = std::min(membership.find('\n'), membership.size());
    const std::uint32_t here = line_cpus(membership.substr(0, end), mount);
    if (here != 0 && (least == 0 || here < least)) least = here;
    membership.remove_prefix(std::min(end + 1, membership.size()));
  }
  return least;
}

std::uint32_t usable_cpus() {
  const std::uint32_t affinity = affinity_cpus();
  const std::uint32_t quota = cgroup_cpus(slurp("/proc/self/cgroup"), "/sys/fs/cgroup");
  return quota == 0 ? affinity : std::min(affinity, quota);
}

}  // namespace bulkhead::config
