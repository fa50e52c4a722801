#include "master/config/local_address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <fstream>
#include <string>

#include "worker/sys/fd.h"

namespace bulkhead::config {
namespace {

// Without IPv6, or with it switched off (net.ipv6.conf.all.disable_ipv6), no interface has an IPv6 address.
bool has_ipv6() {
  std::string line;
  return static_cast<bool>(std::getline(std::ifstream("/proc/net/if_inet6"), line));
}

int bind_ipv4(int fd, const ListenAddress& address) {
  sockaddr_in in{};
  in.sin_family = AF_INET;
  inet_pton(AF_INET, address.host.c_str(), &in.sin_addr);
  return bind(fd, reinterpret_cast<const sockaddr*>(&in), sizeof in) == 0 ? 0 : errno;
}

int bind_ipv6(int fd, const ListenAddress& address) {
  const int only = 1;
  (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
  sockaddr_in6 in6{};
  in6.sin6_family = AF_INET6;
  inet_pton(AF_INET6, address.host.c_str(), &in6.sin6_addr);
  return bind(fd, reinterpret_cast<const sockaddr*>(&in6), sizeof in6) == 0 ? 0 : errno;
}

}  // namespace

bool is_without_family(const ListenAddress& address, int error) {
  if (address.form != ListenAddress::Form::ipv6 || address.text.starts_with("*:")) return false;
  return error == EAFNOSUPPORT || (error == EADDRNOTAVAIL && !has_ipv6());
}

int why_not_local(const ListenAddress& address, bool freebind) {
  if (!address.device.empty() && if_nametoindex(address.device.c_str()) == 0) return ENODEV;
  if (freebind) return 0;
  const bool ipv6 = address.form == ListenAddress::Form::ipv6;
  const sys::Fd fd(socket(ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int error = !fd ? errno : ipv6 ? bind_ipv6(fd.get(), address) : bind_ipv4(fd.get(), address);
  if (is_without_family(address, error)) return EAFNOSUPPORT;
  return error == EADDRNOTAVAIL ? error : 0;
}

}  // namespace bulkhead::config
