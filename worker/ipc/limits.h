// The largest values that a connection table has room for. The options of the configuration have the same limits.
#pragma once

#include <cstdint>

namespace bulkhead::ipc {

inline constexpr std::uint32_t kMaxWorkers = 256;
inline constexpr std::uint32_t kMaxConnections = 1'000'000;
inline constexpr std::uint32_t kMaxRate = 1'000'000;

}  // namespace bulkhead::ipc
