// `allow` and `deny`: the longest network that contains an address decides, deny if both have it. If `allow` is given,
// even an empty one, it refuses addresses that no network contains; `deny` alone admits all others. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "worker/admission/prefix_map.h"

namespace bulkhead::admission {

enum class Access : std::uint32_t { denied = 0, allowed = 1 };  // the smaller one wins a tie

struct AccessVerdict {
  bool allowed = true;
  std::uint32_t length = kNoNetwork;  // of the network that decided
};

// The networks of both lists, and the value for all other addresses, as compile() takes them.
struct AccessPrefixes {
  std::vector<Prefix> prefixes;
  Access otherwise = Access::allowed;
};
[[nodiscard]] AccessPrefixes access_prefixes(const std::optional<std::vector<Prefix>>& allow,
                                             std::span<const Prefix> deny);

[[nodiscard]] inline AccessVerdict judge_access(const PrefixMap& list, const Address& address) noexcept {
  const Match match = list.find(address);
  return {match.value == static_cast<std::uint32_t>(Access::allowed), match.length};
}

}  // namespace bulkhead::admission
