// A set of exit statuses, 0 to 255 (wait(2)): which ends of a program are normal ones. Part of a worker's plan.
#pragma once

#include <cstdint>

namespace bulkhead::ipc {

struct ExitStatuses {
  std::uint64_t bits[4] = {1};  // [0]

  [[nodiscard]] constexpr bool holds(int status) const noexcept {
    return status >= 0 && status < 256 && (bits[status / 64] >> (status % 64) & 1) != 0;
  }
  constexpr void add(std::uint8_t status) noexcept { bits[status / 64] |= std::uint64_t{1} << (status % 64); }
};

}  // namespace bulkhead::ipc
