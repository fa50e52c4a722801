// Parts of a mapping that lie on pages of their own.
#pragma once

#include <cstddef>

namespace bulkhead::ipc {

inline constexpr std::size_t kPage = 4096;

constexpr std::size_t round_to_page(std::size_t bytes) noexcept {
  return (bytes + kPage - 1) / kPage * kPage;
}

}  // namespace bulkhead::ipc
