#include "master/config/cgroup.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>

namespace bulkhead::config {
namespace {

void keep_stricter(CgroupLimit& least, std::uint32_t value, const std::string& directory) {
  if (value != 0 && (least.value == 0 || value < least.value)) least = {value, directory};
}

void walk_up(CgroupLimit& least, const std::string& mount, std::string path,
             std::uint32_t (*limit_of)(const std::string& directory)) {
  for (;;) {
    keep_stricter(least, limit_of(mount + path), mount + path);
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos) return;
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
void read_line(CgroupLimit& least, const CgroupController& controller, std::string_view line,
               const std::string& mount) {
  const std::size_t first = line.find(':');
  const std::size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
  if (second == std::string_view::npos) return;
  const std::string path(line.substr(second + 1));
  if (line.substr(0, second) == "0:") return walk_up(least, mount, path, controller.v2);
  if (!lists_controller(line.substr(first + 1, second - first - 1), controller.name)) return;
  walk_up(least, mount + "/" + controller.name, path, controller.v1);
}

std::uint32_t oom_group(const std::string& directory) {
  return leading_number(cgroup_text(directory + "/memory.oom.group")) == 1 ? 1 : 0;
}

std::uint32_t nothing(const std::string& /*directory*/) {
  return 0;
}

}  // namespace

const CgroupController kOomGroup{"memory", nothing, oom_group};

std::string cgroup_text(const std::string& path) {
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

CgroupLimit cgroup_limit(const CgroupController& controller, std::string_view membership, const std::string& mount) {
  CgroupLimit least;
  while (!membership.empty()) {
    const std::size_t end = std::min(membership.find('\n'), membership.size());
    read_line(least, controller, membership.substr(0, end), mount);
    membership.remove_prefix(std::min(end + 1, membership.size()));
  }
  return least;
}

CgroupLimit cgroup_limit(const CgroupController& controller, std::string_view membership) {
  return cgroup_limit(controller, membership, "/sys/fs/cgroup");
}

CgroupLimit cgroup_limit(const CgroupController& controller) {
  return cgroup_limit(controller, cgroup_membership());
}

std::string cgroup_membership() {
  return cgroup_text("/proc/self/cgroup");
}

}  // namespace bulkhead::config
