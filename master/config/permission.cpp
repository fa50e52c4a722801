#include "master/config/permission.h"

#include <algorithm>

namespace bulkhead::config {

namespace {

bool is_in(const Who& who, std::uint32_t gid) {
  return who.gid == gid || std::ranges::find(who.groups, gid) != who.groups.end();
}

bool root_may(const FileFacts& file, Access access) {
  return access != Access::execute || S_ISDIR(file.mode) || (file.mode & (S_IXUSR | S_IXGRP | S_IXOTH)) != 0;
}

}  // namespace

bool may(const Who& who, const FileFacts& file, Access access) {
  if (who.uid == 0) return root_may(file, access);
  const auto bit = static_cast<mode_t>(access);
  const auto has = [&](int shift) { return (file.mode >> shift & bit) != 0; };
  if (who.uid == file.uid) return has(6);
  if (file.has_acl) return has(3) || has(0);
  return is_in(who, file.gid) ? has(3) : has(0);
}

}  // namespace bulkhead::config
