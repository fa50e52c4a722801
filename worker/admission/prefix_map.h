// Maps an address to the value of the longest network that contains it. Compiled into disjoint ranges in order of their
// first address, so that every look-up is a binary search of log2(networks) steps. Pure.
//
// The compiled form is an array without pointers: the master writes it into a plan, the worker searches it where it
// lies. IPv4 and IPv6 are searched apart: 0.0.0.0/0 is no IPv6 address, and ::/0 no IPv4 address.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace bulkhead::admission {

// In host order; an IPv4 address is the lowest 32 bits.
struct Address {
  bool v6 = false;
  std::uint64_t high = 0;
  std::uint64_t low = 0;
};

struct Prefix {
  Address network;           // no bit set beyond `length`
  std::uint32_t length = 0;  // 0 to 32, or to 128
  std::uint32_t value = 0;
};

// Extends from its first address to the next range's.
struct Range {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  std::uint32_t value = 0;
  std::uint32_t length = 0;  // of the network that decided; kNoNetwork: none did
};
inline constexpr std::uint32_t kNoNetwork = 0xffffffff;

struct Match {
  std::uint32_t value;
  std::uint32_t length;
};

// A view of compiled ranges.
struct PrefixMap {
  std::span<const Range> v4;
  std::span<const Range> v6;
  std::uint32_t otherwise = 0;  // the value of addresses in no network

  [[nodiscard]] Match find(const Address& address) const noexcept;
};

// The ranges of the networks of one family. Of two equal networks the one with the smaller value wins. Outside of all
// networks the value is `otherwise`. At most 2n + 1 ranges; none for none.
[[nodiscard]] std::vector<Range> compile(std::span<const Prefix> prefixes, bool v6, std::uint32_t otherwise);

}  // namespace bulkhead::admission
