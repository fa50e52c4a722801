#include "worker/admission/address_text.h"

#include <algorithm>

namespace bulkhead::admission {

namespace {

int hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Reads one to four hex digits into two bytes.
bool parse_group(std::string_view text, std::uint8_t* out) noexcept {
  if (text.empty() || text.size() > 4) return false;
  unsigned value = 0;
  for (const char c : text) {
    const int digit = hex_digit(c);
    if (digit < 0) return false;
    value = value << 4 | static_cast<unsigned>(digit);
  }
  out[0] = static_cast<std::uint8_t>(value >> 8);
  out[1] = static_cast<std::uint8_t>(value & 0xff);
  return true;
}

// The bytes of an address as they come, and where the "::" stood among them.
struct Groups {
  static constexpr std::size_t kNone = 17;
  std::uint8_t bytes[16] = {};
  std::size_t count = 0;
  std::size_t gap = kNone;

  // A group, or the dotted quad that may stand for the last two.
  bool add(std::string_view text, bool last) noexcept {
    const bool quad = last && text.find('.') != std::string_view::npos;
    const std::size_t length = quad ? 4 : 2;
    if (count + length > sizeof bytes) return false;
    if (!(quad ? parse_ipv4(text, bytes + count) : parse_group(text, bytes + count))) return false;
    count += length;
    return true;
  }
  bool open_gap() noexcept {
    if (gap != kNone) return false;
    gap = count;
    return true;
  }
};

bool read_groups(std::string_view text, Groups& groups) noexcept {
  if (text.substr(0, 2) == "::") {
    groups.gap = 0;
    text.remove_prefix(2);
    if (text.empty()) return true;
  }
  for (;;) {
    const std::size_t colon = text.find(':');
    if (!groups.add(text.substr(0, colon), colon == std::string_view::npos)) return false;
    if (colon == std::string_view::npos) return true;
    text.remove_prefix(colon + 1);
    if (text.substr(0, 1) != ":") continue;
    if (!groups.open_gap()) return false;
    text.remove_prefix(1);
    if (text.empty()) return true;
  }
}

}  // namespace

std::optional<std::uint32_t> parse_decimal(std::string_view text, std::uint32_t limit) noexcept {
  if (text.empty() || text.size() > 9 || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  std::uint32_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + static_cast<std::uint32_t>(c - '0');
  }
  if (value > limit) return std::nullopt;
  return value;
}

bool parse_ipv4(std::string_view text, std::uint8_t* out) noexcept {
  for (int i = 0; i < 4; ++i) {
    const std::size_t end = i < 3 ? text.find('.') : text.size();
    if (end == std::string_view::npos) return false;
    const auto octet = parse_decimal(text.substr(0, end), 255);
    if (!octet) return false;
    out[i] = static_cast<std::uint8_t>(*octet);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return true;
}

bool parse_ipv6(std::string_view text, std::uint8_t* out) noexcept {
  Groups groups;
  if (!read_groups(text, groups)) return false;
  // "::" stands for at least one group.
  const bool whole = groups.gap == Groups::kNone ? groups.count == 16 : groups.count <= 14;
  if (!whole) return false;
  const std::size_t head = std::min(groups.gap, groups.count);
  const std::size_t tail = groups.count - head;
  std::fill(out, out + 16, std::uint8_t{0});
  std::copy(groups.bytes, groups.bytes + head, out);
  std::copy(groups.bytes + head, groups.bytes + groups.count, out + 16 - tail);
  return true;
}

}  // namespace bulkhead::admission
