// One end of a connection as a fixed-size value, for the shared table and the messages: no pointer, no length to trust.
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace bulkhead::ipc {

// IPv4-mapped IPv6 addresses become IPv4 here, on entry: limits, logs and lists never see "::ffff:192.0.2.7".
struct Peer {
  std::uint16_t family = AF_UNSPEC;  // AF_INET, AF_INET6, AF_UNIX
  std::uint16_t port = 0;            // host order; of a local AF_UNIX end: which of its listener's sockets it is
  std::uint32_t scope = 0;           // AF_INET6 link-local
  std::uint8_t address[16] = {};     // network order; the first 4 bytes for AF_INET
  std::uint32_t uid = 0;             // AF_UNIX (SO_PEERCRED)
  std::uint32_t gid = 0;
  std::int32_t pid = 0;
};

[[nodiscard]] Peer peer_of(const sockaddr_storage& address) noexcept;

// "192.0.2.7:5000", "[2001:db8::1]:5000", "unix:uid=1000,pid=812". Text lives in the object; no allocation.
class PeerText {
 public:
  explicit PeerText(const Peer& peer) noexcept;
  [[nodiscard]] std::string_view view() const noexcept { return {text_, length_}; }
  [[nodiscard]] const char* c_str() const noexcept { return text_; }

 private:
  char text_[80];
  std::size_t length_ = 0;
};

// The address alone ("192.0.2.7"), NUL-terminated, into `out` of at least 64 bytes; empty for AF_UNIX. Returns its
// length.
std::size_t address_text(const Peer& peer, char* out) noexcept;

// Decimal, NUL-terminated, into `out` of at least 12 bytes.
std::size_t decimal_text(std::uint32_t value, char* out) noexcept;

}  // namespace bulkhead::ipc
