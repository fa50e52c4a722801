// The limits that the control groups of this process set (cgroups(7)). The limit of a cgroup also holds for all cgroups
// below it, so the strictest limit among the process's own cgroup and those above counts. In a container the upper
// cgroups may not be visible; then their limits are not read.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bulkhead::config {

struct CgroupController {
  const char* name;  // its name in version 1
  // The limit in the files of one cgroup, by version; 0: none.
  std::uint32_t (*v1)(const std::string& directory);
  std::uint32_t (*v2)(const std::string& directory);
};

struct CgroupLimit {
  std::uint32_t value = 0;  // 0: none
  std::string directory;    // the cgroup that has this limit
};

// `membership` is the text of /proc/self/cgroup, `mount` is where the hierarchies are mounted (/sys/fs/cgroup).
[[nodiscard]] CgroupLimit cgroup_limit(const CgroupController& controller, std::string_view membership,
                                       const std::string& mount);
// The same under /sys/fs/cgroup.
[[nodiscard]] CgroupLimit cgroup_limit(const CgroupController& controller, std::string_view membership);
// The same for this process.
[[nodiscard]] CgroupLimit cgroup_limit(const CgroupController& controller);

// The text of /proc/self/cgroup; empty if it cannot be read.
[[nodiscard]] std::string cgroup_membership();

// In `directory`: the cgroup all of whose processes the kernel kills together when memory runs out, if such a cgroup
// exists (memory.oom.group of version 2).
extern const CgroupController kOomGroup;

// Helpers for controllers. cgroup_text() returns the content of a file of a cgroup, empty if it cannot be read.
// leading_number() returns the number at the beginning of a text; empty for a text such as "max".
[[nodiscard]] std::string cgroup_text(const std::string& path);
[[nodiscard]] std::optional<std::int64_t> leading_number(std::string_view text);

}  // namespace bulkhead::config
