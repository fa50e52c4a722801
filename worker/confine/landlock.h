// Which version of Landlock's ABI the kernel has (landlock(7)), and the versions from which on it can do what we use.
#pragma once

#include "worker/sys/raw.h"

namespace bulkhead::confine {

inline constexpr long kLandlockFiles = 1;     // Linux 5.13
inline constexpr long kLandlockRefer = 2;     // Linux 5.19: links and renames between directories
inline constexpr long kLandlockTruncate = 3;  // Linux 6.2
inline constexpr long kLandlockPorts = 4;     // Linux 6.7
inline constexpr long kLandlockIoctl = 5;     // Linux 6.10: of devices
inline constexpr long kLandlockScopes = 6;    // Linux 6.12

// 0: the kernel has none.
[[nodiscard]] inline long landlock_version() noexcept {
  constexpr long kCreateRuleset = 444;  // landlock_create_ruleset(2)
  constexpr long kVersionOnly = 1;
  const long version = sys::raw(kCreateRuleset, 0, 0, kVersionOnly);
  return version < 0 ? 0 : version;
}

}  // namespace bulkhead::confine
