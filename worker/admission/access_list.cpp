#include "worker/admission/access_list.h"

namespace bulkhead::admission {

AccessPrefixes access_prefixes(const std::optional<std::vector<Prefix>>& allow, std::span<const Prefix> deny) {
  AccessPrefixes out;
  const auto add = [&out](const Prefix& prefix, Access access) {
    out.prefixes.push_back({prefix.network, prefix.length, static_cast<std::uint32_t>(access)});
  };
  if (allow) {
    out.otherwise = Access::denied;
    for (const Prefix& prefix : *allow) add(prefix, Access::allowed);
  }
  for (const Prefix& prefix : deny) add(prefix, Access::denied);
  return out;
}

}  // namespace bulkhead::admission
