#include "worker/ipc/peer.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>

#include <cstring>

namespace bulkhead::ipc {

Peer peer_of(const sockaddr_storage& address) noexcept {
  Peer peer;
  peer.family = address.ss_family;
  if (address.ss_family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, &address, sizeof in);
    peer.port = ntohs(in.sin_port);
    std::memcpy(peer.address, &in.sin_addr, 4);
  } else if (address.ss_family == AF_INET6) {
    sockaddr_in6 in6{};
    std::memcpy(&in6, &address, sizeof in6);
    peer.port = ntohs(in6.sin6_port);
    if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr)) {
      peer.family = AF_INET;
      std::memcpy(peer.address, in6.sin6_addr.s6_addr + 12, 4);
    } else {
      std::memcpy(peer.address, &in6.sin6_addr, 16);
      peer.scope = in6.sin6_scope_id;
    }
  }
  return peer;
}

std::size_t decimal_text(std::uint32_t value, char* out) noexcept {
  char reversed[12];
  std::size_t count = 0;
  do {
    reversed[count++] = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value != 0);
  for (std::size_t i = 0; i < count; ++i) out[i] = reversed[count - 1 - i];
  out[count] = '\0';
  return count;
}

std::size_t address_text(const Peer& peer, char* out) noexcept {
  out[0] = '\0';
  if (peer.family != AF_INET && peer.family != AF_INET6) return 0;
  if (inet_ntop(peer.family, peer.address, out, INET6_ADDRSTRLEN) == nullptr) return 0;
  std::size_t length = std::strlen(out);
  // A link-local address means nothing without its interface; the number is as good as the name and needs no look-up.
  if (peer.family == AF_INET6 && peer.scope != 0) {
    out[length++] = '%';
    length += decimal_text(peer.scope, out + length);
  }
  return length;
}

PeerText::PeerText(const Peer& peer) noexcept {
  const auto append = [this](std::string_view words) {
    std::memcpy(text_ + length_, words.data(), words.size());
    length_ += words.size();
  };
  if (peer.family == AF_UNIX) {
    append("unix:uid=");
    length_ += decimal_text(peer.uid, text_ + length_);
    append(",pid=");
    length_ += decimal_text(static_cast<std::uint32_t>(peer.pid < 0 ? 0 : peer.pid), text_ + length_);
    return;
  }
  if (peer.family == AF_INET6) append("[");
  length_ += address_text(peer, text_ + length_);
  if (peer.family == AF_INET6) append("]");
  append(":");
  length_ += decimal_text(peer.port, text_ + length_);
}

}  // namespace bulkhead::ipc
