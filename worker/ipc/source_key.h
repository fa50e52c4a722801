// The source that a client belongs to: its address cut to a prefix, since one host may have 2^64 IPv6 addresses and one
// customer a whole network; for a Unix socket the user of its process.
#pragma once

#include <cstdint>
#include <string_view>

#include "worker/ipc/peer.h"

namespace bulkhead::ipc {

struct SourceKey {
  std::uint16_t family = 0;  // AF_INET, AF_INET6, AF_UNIX; 0: no source
  std::uint16_t bits = 0;    // length of the prefix; AF_UNIX: 32
  std::uint8_t address[16] = {};

  [[nodiscard]] bool operator==(const SourceKey& other) const noexcept = default;
};

[[nodiscard]] SourceKey source_of(const Peer& peer, std::uint32_t prefix4, std::uint32_t prefix6) noexcept;

// The part of an address that is shown where not all of it is to be: few enough bits to be those of a network and not
// of a client.
inline constexpr std::uint32_t kShown4 = 24;
inline constexpr std::uint32_t kShown6 = 64;
[[nodiscard]] inline SourceKey shown_prefix(const Peer& peer) noexcept {
  return source_of(peer, kShown4, kShown6);
}
[[nodiscard]] SourceKey shown_prefix(SourceKey source) noexcept;

// Whether all of `source` lies within `prefix`.
[[nodiscard]] bool within(const SourceKey& source, const SourceKey& prefix) noexcept;

// "192.0.2.7/32", "2001:db8::/64", "unix:uid=1000". Text lives in the object; no allocation.
class SourceText {
 public:
  explicit SourceText(const SourceKey& key) noexcept;
  [[nodiscard]] std::string_view view() const noexcept { return {text_, length_}; }

 private:
  char text_[64];
  std::size_t length_ = 0;
};

// SipHash-2-4 (Aumasson and Bernstein, 2012): without the key, nobody can choose addresses that collide.
struct HashKey {
  std::uint64_t words[2] = {};
};
[[nodiscard]] std::uint64_t hash_of(const HashKey& key, const SourceKey& source) noexcept;
[[nodiscard]] std::uint64_t siphash(const HashKey& key, const unsigned char* bytes, std::size_t count) noexcept;

}  // namespace bulkhead::ipc
