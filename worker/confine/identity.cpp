#include "worker/confine/identity.h"

#include <grp.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "worker/ipc/confinement.h"

namespace bulkhead::confine {

namespace {

// Compared as a set: the kernel returns them sorted, and each as often as it was set.
bool has_groups(const std::uint32_t* groups, std::size_t count) noexcept {
  gid_t now[ipc::kMaxGroups];
  const int got = getgroups(ipc::kMaxGroups, now);
  if (got < 0 || static_cast<std::size_t>(got) != count) return false;
  return std::is_permutation(now, now + got, groups);
}

bool has_group(gid_t gid) noexcept {
  gid_t real = 0;
  gid_t effective = 0;
  gid_t saved = 0;
  return getresgid(&real, &effective, &saved) == 0 && real == gid && effective == gid && saved == gid;
}

bool has_user(uid_t uid) noexcept {
  uid_t real = 0;
  uid_t effective = 0;
  uid_t saved = 0;
  return getresuid(&real, &effective, &saved) == 0 && real == uid && effective == uid && saved == uid;
}

}  // namespace

ipc::Failure take_identity(std::uint32_t uid, std::uint32_t gid, const std::uint32_t* groups,
                           std::size_t group_count) noexcept {
  using ipc::Stage;
  // Unprivileged and already this user: the supplementary groups are the session's, and cannot be set anyway.
  if (geteuid() != 0 && uid == geteuid() && gid == getegid()) return {};
  if (setgroups(group_count, groups) != 0) return {Stage::groups, errno};
  if (setresgid(gid, gid, gid) != 0) return {Stage::group, errno};
  if (setresuid(uid, uid, uid) != 0) return {Stage::user, errno};
  if (!has_groups(groups, group_count)) return {Stage::groups, EPERM};
  if (!has_group(gid)) return {Stage::group, EPERM};
  if (!has_user(uid)) return {Stage::user, EPERM};
  if (uid != 0 && setuid(0) == 0) return {Stage::user, EPERM};
  return {};
}

}  // namespace bulkhead::confine
