#include "master/net/listening_socket.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace bulkhead::net {

namespace {

using config::ListenAddress;

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;
};

template <class T>
SocketAddress wrap(const T& address) {
  SocketAddress out;
  std::memcpy(&out.storage, &address, sizeof address);
  out.length = sizeof address;
  return out;
}

SocketAddress socket_address(const ListenAddress& address) {
  if (address.family == ListenAddress::Family::ipv4) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(address.port);
    inet_pton(AF_INET, address.host.c_str(), &in.sin_addr);
    return wrap(in);
  }
  if (address.family == ListenAddress::Family::ipv6) {
    sockaddr_in6 in6{};
    in6.sin6_family = AF_INET6;
    in6.sin6_port = htons(address.port);
    inet_pton(AF_INET6, address.host.c_str(), &in6.sin6_addr);
    return wrap(in6);
  }
  sockaddr_un un{};
  un.sun_family = AF_UNIX;
  std::memcpy(un.sun_path, address.path.data(), std::min(address.path.size(), sizeof un.sun_path - 1));
  return wrap(un);
}

const sockaddr* raw(const SocketAddress& address) {
  return reinterpret_cast<const sockaddr*>(&address.storage);
}

void set(int fd, int level, int option, int value) {
  setsockopt(fd, level, option, &value, sizeof value);
}

void set_tcp_options(int fd, bool ipv6) {
  set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 60);
  set(fd, IPPROTO_TCP, TCP_KEEPINTVL, 10);
  set(fd, IPPROTO_TCP, TCP_KEEPCNT, 6);
  if (ipv6) set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
}

// A socket file that nobody listens on any more is a leftover of a crash; one that answers belongs to a living server.
void remove_stale_file(const SocketAddress& address, const std::string& path) {
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) return;
  const sys::Fd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (connect(probe.get(), raw(address), address.length) != 0 && errno == ECONNREFUSED) unlink(path.c_str());
}

void describe(ListeningSocket& socket) {
  if (socket.address.family == ListenAddress::Family::unix_path) {
    struct stat status {};
    if (stat(socket.address.path.c_str(), &status) == 0) {
      socket.device = status.st_dev;
      socket.inode = status.st_ino;
    }
    socket.local.family = AF_UNIX;
    socket.text = "unix:" + socket.address.path;
    return;
  }
  sockaddr_storage bound{};
  socklen_t length = sizeof bound;
  getsockname(socket.fd.get(), reinterpret_cast<sockaddr*>(&bound), &length);
  socket.local = ipc::peer_of(bound);
  static constexpr std::array<std::uint8_t, 16> kAny{};
  socket.wildcard = std::memcmp(socket.local.address, kAny.data(), kAny.size()) == 0;
  socket.text = std::string(ipc::PeerText(socket.local).view());
}

}  // namespace

sys::Result<ListeningSocket> open_listening_socket(const ListenAddress& address, std::uint32_t backlog) {
  const bool is_unix = address.family == ListenAddress::Family::unix_path;
  const SocketAddress target = socket_address(address);
  ListeningSocket out;
  out.address = address;
  out.fd.reset(::socket(target.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!out.fd) return sys::Error{"socket", address.text, errno};
  if (is_unix) {
    remove_stale_file(target, address.path);
  } else {
    set_tcp_options(out.fd.get(), address.family == ListenAddress::Family::ipv6);
  }
  if (bind(out.fd.get(), raw(target), target.length) != 0) return sys::Error{"bind", address.text, errno};
  // Between bind and listen a client is refused, so the mode is right before anybody gets in.
  if (is_unix) chmod(address.path.c_str(), 0660);
  if (listen(out.fd.get(), static_cast<int>(backlog)) != 0) return sys::Error{"listen", address.text, errno};
  describe(out);
  return out;
}

void unlink_socket_file(const ListeningSocket& socket) noexcept {
  struct stat status {};
  const bool ours = socket.inode != 0 && stat(socket.address.path.c_str(), &status) == 0 &&
                    status.st_dev == socket.device && status.st_ino == socket.inode;
  if (ours) unlink(socket.address.path.c_str());
}

void refuse_newcomers(ListeningSocket& socket) noexcept {
  if (socket.address.family == ListenAddress::Family::unix_path) {
    unlink_socket_file(socket);
    return;
  }
  // The filter sees the TCP header first. Byte 13 holds the flags: FIN 1, SYN 2, RST 4, PSH 8, ACK 16.
  std::array<sock_filter, 5> program{{BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13), BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0x17),
                                      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x02, 0, 1), BPF_STMT(BPF_RET | BPF_K, 0),
                                      BPF_STMT(BPF_RET | BPF_K, 0xffffffff)}};
  const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
  setsockopt(socket.fd.get(), SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter);
}

namespace {

// The inode of the socket that listens on this port, from /proc/net/tcp (proc(5)): state 0A is LISTEN.
std::string listening_inode(const char* file, std::uint16_t port) {
  std::ifstream lines(file);
  std::string line;
  const std::string wanted = fmt::format(":{:04X} ", port);
  while (std::getline(lines, line)) {
    char local[64];
    char remote[64];
    char state[8];
    unsigned long inode = 0;
    if (std::sscanf(line.c_str(), "%*s %63s %63s %7s %*s %*s %*s %*s %*s %lu", local, remote, state, &inode) != 4)
      continue;
    if ((std::string(local) + " ").ends_with(wanted) && std::string(state) == "0A")
      return fmt::format("socket:[{}]", inode);
  }
  return {};
}

}  // namespace

std::string holder_of(const ListenAddress& address) {
  namespace fs = std::filesystem;
  if (address.family == ListenAddress::Family::unix_path) return {};
  std::string inode = listening_inode("/proc/net/tcp", address.port);
  if (inode.empty()) inode = listening_inode("/proc/net/tcp6", address.port);
  if (inode.empty()) return {};
  std::error_code ignored;
  for (const auto& process : fs::directory_iterator("/proc", ignored)) {
    const std::string pid = process.path().filename();
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    for (const auto& fd : fs::directory_iterator(process.path() / "fd", ignored)) {
      if (fs::read_symlink(fd.path(), ignored).string() != inode) continue;
      std::ifstream comm(process.path() / "comm");
      std::string name;
      std::getline(comm, name);
      return fmt::format("held by {} (pid {})", name, pid);
    }
  }
  return {};
}

}  // namespace bulkhead::net
