// IP addresses as text, read without the C library: a view need not end in NUL, and nothing but the standard form is
// taken (RFC 4291, 2.2; no leading zeros in an octet, no zone, no short forms of IPv4).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace bulkhead::admission {

// "192.0.2.7", into 4 bytes in network order.
[[nodiscard]] bool parse_ipv4(std::string_view text, std::uint8_t* out) noexcept;
// "2001:db8::1", "::ffff:192.0.2.7", into 16 bytes in network order.
[[nodiscard]] bool parse_ipv6(std::string_view text, std::uint8_t* out) noexcept;
// Decimal without sign or leading zeros, at most `limit`.
[[nodiscard]] std::optional<std::uint32_t> parse_decimal(std::string_view text, std::uint32_t limit) noexcept;

}  // namespace bulkhead::admission
