// An address of the configuration in the form of bind(2) and connect(2).
#pragma once

#include <sys/socket.h>

#include <string>

#include "master/config/config.h"

namespace bulkhead::net {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;
  [[nodiscard]] const sockaddr* raw() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

// Only for addresses that are not inherited.
[[nodiscard]] SocketAddress socket_address(const config::ListenAddress& address);

// "/run/x.sock", "@name", or empty for a socket without a name; for an AF_UNIX address.
[[nodiscard]] std::string unix_path(const SocketAddress& address);

// The numeric address of AF_INET or AF_INET6, from its bytes in network order.
[[nodiscard]] std::string host_text(int family, const void* bytes);

}  // namespace bulkhead::net
