#include "master/config/process_limit.h"

#include <sys/resource.h>

#include <algorithm>
#include <limits>

namespace bulkhead::config {
namespace {

// More than the number of processes that can exist (proc(5), pid_max).
constexpr std::uint32_t kPlenty = std::numeric_limits<std::int32_t>::max();

std::uint32_t pids_max(const std::string& directory) {
  const auto most = leading_number(cgroup_text(directory + "/pids.max"));
  return most ? static_cast<std::uint32_t>(std::clamp<std::int64_t>(*most, 1, kPlenty)) : 0;
}

std::uint32_t user_limit(ProcessOwner owner) {
  rlimit limit{};
  if (owner == ProcessOwner::root || getrlimit(RLIMIT_NPROC, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return 0;
  return static_cast<std::uint32_t>(std::clamp<rlim_t>(limit.rlim_cur, 1, kPlenty));
}

}  // namespace

const CgroupController kPids{"pids", pids_max, pids_max};

ProcessLimit process_limit(ProcessOwner owner, std::string_view membership) {
  const CgroupLimit cgroup = cgroup_limit(kPids, membership);
  const std::uint32_t user = user_limit(owner);
  if (user != 0 && (cgroup.value == 0 || user <= cgroup.value)) {
    return {user, "RLIMIT_NPROC", "ulimit -u, or LimitNPROC= of a systemd unit"};
  }
  if (cgroup.value == 0) return {};
  return {cgroup.value, "pids.max of " + cgroup.directory, "TasksMax= of a systemd unit"};
}

}  // namespace bulkhead::config
