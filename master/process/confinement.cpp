#include "master/process/confinement.h"

#include <sys/resource.h>

#include <algorithm>
#include <cerrno>

namespace bulkhead::process {

namespace {

bool mounts_nothing(const sandbox::Policy& policy) {
  const auto& allowed = policy.calls.allow;
  return policy.calls.list != sandbox::CallList::any &&
         std::find(allowed.begin(), allowed.end(), "mount") == allowed.end();
}

bool has_core_limit(const config::ChildKeys& keys) {
  return std::ranges::any_of(keys.rlimits, [](const config::Rlimit& one) { return one.resource == RLIMIT_CORE; });
}

}  // namespace

sys::Result<ipc::Confinement> confinement_of(const config::ChildKeys& keys) {
  ipc::Confinement out;
  if (const auto& who = keys.identity) {
    if (who->pool && !who->pool->assigned) return sys::Error{"confine", "no user of the pool", EINVAL};
    if (who->groups.size() > ipc::kMaxGroups) return sys::Error{"confine", "too many groups of the user", E2BIG};
    out.has_identity = 1;
    out.uid = who->uid;
    out.gid = who->gid;
    for (const std::uint32_t group : who->groups) out.groups[out.group_count++] = group;
  }
  out.umask = keys.umask;
  out.no_new_privileges = keys.sandbox.new_privileges ? 0 : 1;
  out.scope_of = keys.sandbox.scope;
  out.capabilities = keys.sandbox.capabilities;
  out.restricts_files = keys.sandbox.files.restricted ? 1 : 0;
  out.restricts_ports = keys.sandbox.ports.restricted ? 1 : 0;
  out.spaces = keys.sandbox.spaces;
  out.mounts_nothing = mounts_nothing(keys.sandbox) ? 1 : 0;
  const bool strict = keys.sandbox.preset == sandbox::Preset::strict;
  out.has_nice = keys.nice ? 1 : 0;
  out.nice = keys.nice.value_or(0);
  out.ioprio = static_cast<std::uint32_t>(keys.ioprio.value_or(0));
  out.has_oom_score_adj = keys.oom_score_adj ? 1 : 0;
  out.oom_score_adj = keys.oom_score_adj.value_or(0);
  for (const config::Rlimit& limit : keys.rlimits) {
    out.limits[out.limit_count++] = {static_cast<std::uint32_t>(limit.resource), 0, limit.value};
  }
  if (strict && !has_core_limit(keys)) out.limits[out.limit_count++] = {RLIMIT_CORE, 0, 0};
  return out;
}

}  // namespace bulkhead::process
