// The least hop limit with which a TCP socket takes packets: ip(7) IP_MINTTL, IPV6_MINHOPCOUNT (RFC 5082). A listening
// socket that wants 255 drops every new SYN, for clients send with 64 or 128, and lets handshakes in progress finish.
// Accepted sockets inherit it. Async-signal-safe.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>

namespace bulkhead::sys {

inline constexpr int kAnyHops = 0;
inline constexpr int kDirectOnly = 255;

// 0 or an errno. IPv4 clients may come to an IPv6 socket too.
[[nodiscard]] inline int require_hop_limit(int fd, int family, int least) noexcept {
  const bool six = family == AF_INET6;
  if (six && setsockopt(fd, IPPROTO_IPV6, IPV6_MINHOPCOUNT, &least, sizeof least) != 0) return errno;
  return setsockopt(fd, IPPROTO_IP, IP_MINTTL, &least, sizeof least) == 0 ? 0 : errno;
}

}  // namespace bulkhead::sys
