// Networks as in lists of addresses: "192.0.2.0/24", "2001:db8::/32"; a single address is a network of one address.
// Networks are numeric and exact: a bit beyond the prefix is an error, whose text names the network that was probably
// meant. IPv4-mapped networks (::ffff:192.0.2.0/120) become IPv4, as the addresses of clients do.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

namespace bulkhead::config {

struct Network {
  bool v6 = false;
  std::uint64_t high = 0;  // host order; an IPv4 address is the lowest 32 bits
  std::uint64_t low = 0;
  std::uint32_t length = 0;
  std::string text;  // canonical: "192.0.2.0/24"
  bool operator==(const Network& other) const {
    return v6 == other.v6 && high == other.high && low == other.low && length == other.length;
  }
};

// The network, or a sentence that says what is wrong with it.
[[nodiscard]] std::variant<Network, std::string> parse_network(std::string_view text);

}  // namespace bulkhead::config
