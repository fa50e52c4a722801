// The one clock that deadlines, ages and heartbeats use: CLOCK_MONOTONIC in nanoseconds, the same in every process.
#pragma once

#include <cstdint>
#include <ctime>

namespace bulkhead::sys {

[[nodiscard]] inline std::int64_t monotonic_ns() noexcept {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// The master does what takes long in slices of so many nanoseconds, because all its other work waits meanwhile.
inline constexpr std::int64_t kSlice = 5'000'000;

}  // namespace bulkhead::sys
