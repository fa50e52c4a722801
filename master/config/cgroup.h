// What the control groups that this process is in grant it (cgroups(7)). A limit of one holds for all below it, so that
// the strictest of its own and those above counts. In a container the upper ones may be out of sight; then nothing is
// read of them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bulkhead::config {

struct CgroupController {
  const char* name;  // in version 1
  // The limit in the files of one cgroup, by version; 0: none.
  std::uint32_t (*v1)(const std::string& directory);
  std::uint32_t (*v2)(const std::string& directory);
};

struct CgroupLimit {
  std::uint32_t value = 0;  // 0: none
  std::string directory;    // of the cgroup whose limit it is
};

// `membership` is the text of /proc/self/cgroup, `mount` is where the hierarchies are mounted (/sys/fs/cgroup).
[[nodiscard]] CgroupLimit cgroup_limit(const CgroupController& controller, std::string_view membership,
                                       const std::string& mount);
// Of this process.
[[nodiscard]] CgroupLimit cgroup_limit(const CgroupController& controller);

// The cgroup, if there is one, all of whose processes the kernel kills when it has no memory left: memory.oom.group of
// version 2, in `directory`.
extern const CgroupController kOomGroup;

// For controllers: a file of a cgroup, empty where there is none; the number that a text begins with, which "max" has
// not.
[[nodiscard]] std::string cgroup_text(const std::string& path);
[[nodiscard]] std::optional<std::int64_t> leading_number(std::string_view text);

}  // namespace bulkhead::config
