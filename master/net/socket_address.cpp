#include "master/net/socket_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>

namespace bulkhead::net {

namespace {

using config::ListenAddress;

template <class T>
SocketAddress wrap(const T& address, std::size_t length = sizeof(T)) {
  SocketAddress out;
  std::memcpy(&out.storage, &address, sizeof address);
  out.length = static_cast<socklen_t>(length);
  return out;
}

SocketAddress ipv4(const ListenAddress& address) {
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_port = htons(address.port);
  inet_pton(AF_INET, address.host.c_str(), &in.sin_addr);
  return wrap(in);
}

SocketAddress ipv6(const ListenAddress& address) {
  sockaddr_in6 in6{};
  in6.sin6_family = AF_INET6;
  in6.sin6_port = htons(address.port);
  inet_pton(AF_INET6, address.host.c_str(), &in6.sin6_addr);
  return wrap(in6);
}

// An abstract name begins with a NUL and is as long as the length says (unix(7)).
SocketAddress unix_address(const ListenAddress& address) {
  const bool abstract = address.form == ListenAddress::Form::unix_abstract;
  sockaddr_un un{};
  un.sun_family = AF_UNIX;
  const std::size_t size = std::min(address.path.size(), sizeof un.sun_path - (abstract ? 0 : 1));
  std::memcpy(un.sun_path, address.path.data(), size);
  if (abstract) un.sun_path[0] = '\0';
  return wrap(un, offsetof(sockaddr_un, sun_path) + size + (abstract ? 0 : 1));
}

}  // namespace

SocketAddress socket_address(const ListenAddress& address) {
  switch (address.form) {
    case ListenAddress::Form::ipv4: return ipv4(address);
    case ListenAddress::Form::ipv6: return ipv6(address);
    default: return unix_address(address);
  }
}

std::string unix_path(const SocketAddress& address) {
  sockaddr_un un{};
  std::memcpy(&un, &address.storage, sizeof un);
  const auto header = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path));
  if (address.length <= header) return "";
  std::string out(un.sun_path, std::min<std::size_t>(address.length - header, sizeof un.sun_path));
  if (out.front() == '\0') {
    out.front() = '@';
  } else {
    out.resize(std::strlen(out.c_str()));
  }
  return out;
}

std::string host_text(int family, const void* bytes) {
  std::array<char, INET6_ADDRSTRLEN> out{};
  return inet_ntop(family, bytes, out.data(), out.size()) == nullptr ? "" : out.data();
}

}  // namespace bulkhead::net
