#include "master/net/socket_options.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <fstream>
#include <limits>

namespace bulkhead::net {

namespace {

using config::ListenAddress;
using MaybeError = std::optional<sys::Error>;

struct Setting {
  int level;
  int option;
  int value;
  const char* name;
};

MaybeError set(int fd, const std::string& subject, const Setting& setting) {
  if (setsockopt(fd, setting.level, setting.option, &setting.value, sizeof setting.value) == 0) return std::nullopt;
  return sys::Error{fmt::format("setsockopt {}", setting.name), subject, errno};
}

MaybeError set_all(int fd, const std::string& subject, const std::vector<Setting>& settings) {
  for (const Setting& setting : settings) {
    if (auto error = set(fd, subject, setting)) return error;
  }
  return std::nullopt;
}

int get(int fd, int level, int option) {
  int value = 0;
  socklen_t length = sizeof value;
  getsockopt(fd, level, option, &value, &length);
  return value;
}

struct Buffer {
  const char* key;
  int option;
  int force;  // beyond the limit, with CAP_NET_ADMIN
  const char* limit;
};
constexpr Buffer kReceive{"rcvbuf", SO_RCVBUF, SO_RCVBUFFORCE, "net.core.rmem_max"};
constexpr Buffer kSend{"sndbuf", SO_SNDBUF, SO_SNDBUFFORCE, "net.core.wmem_max"};

void set_buffer(int fd, const Buffer& buffer, std::optional<std::uint32_t> size, std::vector<std::string>& remarks) {
  if (!size) return;
  const auto value = static_cast<int>(*size);
  if (setsockopt(fd, SOL_SOCKET, buffer.force, &value, sizeof value) == 0) return;
  setsockopt(fd, SOL_SOCKET, buffer.option, &value, sizeof value);
  const int got = get(fd, SOL_SOCKET, buffer.option) /
                  2;  // the kernel returns twice the value, which includes its bookkeeping (socket(7))
  if (got < value) remarks.push_back(fmt::format("{} {} is lowered to {} by {}", buffer.key, value, got, buffer.limit));
}

// Milliseconds; 0: the system's default. It is the time after which probing gives up a client. It is also set for data
// that is not acknowledged: no probes are sent meanwhile, and the data would be sent again for a quarter of an hour
// (tcp_retries2 in tcp(7)).
int user_timeout(const std::optional<config::Keepalive>& keepalive) {
  if (!keepalive) return 0;
  const std::chrono::milliseconds time = keepalive->idle + keepalive->interval * keepalive->probes;
  return static_cast<int>(std::min<std::chrono::milliseconds::rep>(time.count(), std::numeric_limits<int>::max()));
}

bool is_tcp(int fd) {
  const int domain = get(fd, SOL_SOCKET, SO_DOMAIN);
  return domain == AF_INET || domain == AF_INET6;
}

}  // namespace

MaybeError set_bind_options(int fd, const ListenAddress& address, bool freebind) {
  const bool ipv6 = address.form == ListenAddress::Form::ipv6;
  std::vector<Setting> settings{{SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR"}};
  // Always set, because the default depends on the system (net.ipv6.bindv6only).
  if (ipv6) settings.push_back({IPPROTO_IPV6, IPV6_V6ONLY, address.ipv6only ? 1 : 0, "IPV6_V6ONLY"});
  if (freebind && ipv6) settings.push_back({IPPROTO_IPV6, IPV6_FREEBIND, 1, "IPV6_FREEBIND"});
  if (freebind && !ipv6) settings.push_back({IPPROTO_IP, IP_FREEBIND, 1, "IP_FREEBIND"});
  if (auto error = set_all(fd, address.text, settings)) return error;
  const auto size = static_cast<socklen_t>(address.device.size());
  if (size == 0 || setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, address.device.data(), size) == 0) return std::nullopt;
  return sys::Error{fmt::format("bind {} to device", address.text), address.device, errno};
}

MaybeError set_connection_options(int fd, const std::string& subject, const config::SocketOptions& options,
                                  std::vector<std::string>& remarks) {
  if (!is_tcp(fd)) return std::nullopt;  // an accepted Unix socket inherits none of these
  set_buffer(fd, kReceive, options.rcvbuf, remarks);
  set_buffer(fd, kSend, options.sndbuf, remarks);
  std::vector<Setting> settings{{IPPROTO_TCP, TCP_NODELAY, options.nodelay ? 1 : 0, "TCP_NODELAY"},
                                {SOL_SOCKET, SO_KEEPALIVE, options.keepalive ? 1 : 0, "SO_KEEPALIVE"},
                                {IPPROTO_TCP, TCP_USER_TIMEOUT, user_timeout(options.keepalive), "TCP_USER_TIMEOUT"}};
  if (options.keepalive) {
    const config::Keepalive& keepalive = *options.keepalive;
    settings.push_back({IPPROTO_TCP, TCP_KEEPIDLE, static_cast<int>(keepalive.idle.count()), "TCP_KEEPIDLE"});
    settings.push_back({IPPROTO_TCP, TCP_KEEPINTVL, static_cast<int>(keepalive.interval.count()), "TCP_KEEPINTVL"});
    settings.push_back({IPPROTO_TCP, TCP_KEEPCNT, static_cast<int>(keepalive.probes), "TCP_KEEPCNT"});
  }
  return set_all(fd, subject, settings);
}

std::string backlog_remark(const config::SocketOptions& options) {
  std::ifstream file("/proc/sys/net/core/somaxconn");
  std::uint32_t most = 0;
  if (!options.backlog_explicit || !(file >> most) || options.backlog <= most) return "";
  return fmt::format("backlog {} is lowered to {} by net.core.somaxconn", options.backlog, most);
}

}  // namespace bulkhead::net
