#include "worker/child/identity.h"

#include <grp.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>

namespace bulkhead::child {

ipc::Failure take_identity(std::uint32_t uid, std::uint32_t gid, const std::uint32_t* groups,
                           std::size_t group_count) noexcept {
  using ipc::Stage;
  // Unprivileged and already this user: the supplementary groups are the session's, and cannot be set anyway.
  if (geteuid() != 0 && uid == geteuid() && gid == getegid()) return {};
  if (setgroups(group_count, groups) != 0) return {Stage::groups, errno};
  if (setresgid(gid, gid, gid) != 0) return {Stage::group, errno};
  if (setresuid(uid, uid, uid) != 0) return {Stage::user, errno};
  uid_t real = 0;
  uid_t effective = 0;
  uid_t saved = 0;
  if (getresuid(&real, &effective, &saved) != 0 || real != uid || effective != uid || saved != uid) {
    return {Stage::user, EPERM};
  }
  if (uid != 0 && setuid(0) == 0) return {Stage::user, EPERM};
  return {};
}

}  // namespace bulkhead::child
