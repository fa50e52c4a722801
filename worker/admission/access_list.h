// `allow` and `deny`: the longest network that holds an address decides, deny where both have it. An `allow` that is
// given, be it empty, refuses whom no network holds; `deny` alone lets everybody else in. Pure.
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

// The networks of both lists, and what holds for everybody else, as compile() takes them.
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
