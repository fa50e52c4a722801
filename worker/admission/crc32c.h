// CRC32C (RFC 4960, appendix B): Castagnoli's polynomial, reflected. Four bits at a time, by a table of sixteen words:
// the headers it is for are short and come once a connection.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace bulkhead::admission {

constexpr std::array<std::uint32_t, 16> make_crc32c_table() noexcept {
  std::array<std::uint32_t, 16> table{};
  for (std::uint32_t i = 0; i < 16; ++i) {
    std::uint32_t word = i;
    for (int bit = 0; bit < 4; ++bit) word = (word & 1) != 0 ? word >> 1 ^ 0x82f63b78U : word >> 1;
    table[i] = word;
  }
  return table;
}
inline constexpr std::array<std::uint32_t, 16> kCrc32cTable = make_crc32c_table();

class Crc32c {
 public:
  constexpr Crc32c& add(std::string_view bytes) noexcept {
    for (const char c : bytes) {
      state_ ^= static_cast<std::uint8_t>(c);
      state_ = state_ >> 4 ^ kCrc32cTable[state_ & 15];
      state_ = state_ >> 4 ^ kCrc32cTable[state_ & 15];
    }
    return *this;
  }
  [[nodiscard]] constexpr std::uint32_t value() const noexcept { return ~state_; }

 private:
  std::uint32_t state_ = 0xffffffffU;
};

}  // namespace bulkhead::admission
