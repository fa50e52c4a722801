// UTF-8, and which bytes of a text that somebody else chose may be shown as they are. Pure; safe after fork.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace bulkhead::log {

// Control characters (C0, DEL, C1), line and paragraph separators, and the characters that change the direction of the
// text after them (Unicode 15, Bidi_Control): these can forge a line or make it read as another one.
[[nodiscard]] constexpr bool is_misleading(std::uint32_t code_point) noexcept {
  const auto among = [code_point](std::uint32_t first, std::uint32_t last) {
    return code_point >= first && code_point <= last;
  };
  return code_point < 0x20 || among(0x7f, 0x9f) || code_point == 0x61c || among(0x200e, 0x200f) ||
         among(0x2028, 0x202e) || among(0x2066, 0x2069);
}

struct Character {
  std::size_t length = 0;  // in bytes; 0: not valid UTF-8 (overlong, surrogate, beyond U+10FFFF, cut short; RFC 3629)
  std::uint32_t code_point = 0;
};

// The character at the beginning of `bytes`, which is not empty.
[[nodiscard]] constexpr Character first_character(std::string_view bytes) noexcept {
  const auto byte = [bytes](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[i])); };
  const std::uint32_t first = byte(0);
  if (first < 0x80) return {1, first};
  const std::size_t length = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  if (length == 0 || bytes.size() < length) return {};
  std::uint32_t code_point = first & (0x7fU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0U) != 0x80U) return {};
    code_point = code_point << 6U | (byte(i) & 0x3fU);
  }
  constexpr std::uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool is_surrogate = code_point >= 0xd800 && code_point <= 0xdfff;
  if (code_point < kSmallest[length] || code_point > 0x10ffff || is_surrogate) return {};
  return {length, code_point};
}

// How many of the bytes remain if a last character that is cut short is left out; at least all but 3.
[[nodiscard]] constexpr std::size_t whole_characters(std::string_view bytes) noexcept {
  for (std::size_t back = 1; back <= 3 && back <= bytes.size(); ++back) {
    const auto byte = static_cast<unsigned char>(bytes[bytes.size() - back]);
    if (byte < 0x80) break;
    if (byte < 0xc0) continue;
    const std::size_t length = byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
    return length > back ? bytes.size() - back : bytes.size();
  }
  return bytes.size();
}

// The length of that character; 0: its first byte has to be escaped.
[[nodiscard]] constexpr std::size_t shown_length(std::string_view bytes) noexcept {
  const Character character = first_character(bytes);
  return is_misleading(character.code_point) ? 0 : character.length;
}

}  // namespace bulkhead::log
