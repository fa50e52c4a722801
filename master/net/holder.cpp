#include "master/net/holder.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "master/config/listen_address.h"
#include "master/net/socket_address.h"
#include "worker/sys/fd.h"

namespace bulkhead::net {

namespace {

using config::ListenAddress;
namespace fs = std::filesystem;

constexpr const char* kSomebody = "another process";

std::string name_of(long pid) {
  std::ifstream comm(fmt::format("/proc/{}/comm", pid));
  std::string name;
  if (pid <= 0 || !std::getline(comm, name)) return kSomebody;
  return fmt::format("{} (pid {})", name, pid);
}

// The process that called listen(2) on that socket: SO_PEERCRED, unix(7).
std::string holder_of_unix(const ListenAddress& address) {
  const sys::Fd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const SocketAddress target = socket_address(address);
  if (!probe || connect(probe.get(), target.raw(), target.length) != 0) return kSomebody;
  ucred credentials{};
  socklen_t length = sizeof credentials;
  if (getsockopt(probe.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) return kSomebody;
  return name_of(credentials.pid);
}

// Parses "0100007F:0FC8" of /proc/net/tcp, whose words have the byte order of the machine (proc(5)).
std::optional<ListenAddress> parse_row_address(std::string_view text) {
  const std::size_t colon = text.find(':');
  ListenAddress out;
  if (colon != 8 && colon != 32) return std::nullopt;
  std::array<std::uint32_t, 4> words{};
  for (std::size_t at = 0; at < colon; at += 8) {
    std::from_chars(text.data() + at, text.data() + at + 8, words.at(at / 8), 16);
  }
  std::from_chars(text.data() + colon + 1, text.data() + text.size(), out.port, 16);
  // An IPv6 socket may have an IPv4 address: ::ffff:127.0.0.1.
  const bool mapped = colon == 32 && words[0] == 0 && words[1] == 0 && words[2] == htonl(0xffff);
  const bool ipv4 = colon == 8 || mapped;
  out.form = ipv4 ? ListenAddress::Form::ipv4 : ListenAddress::Form::ipv6;
  out.host = host_text(ipv4 ? AF_INET : AF_INET6, &words.at(mapped ? 3 : 0));
  return out;
}

struct Row {
  ListenAddress address;
  bool listens = false;
  unsigned uid = 0;
  unsigned long inode = 0;
};

std::optional<Row> parse_row(const std::string& line) {
  std::array<char, 64> local{};
  std::array<char, 8> state{};
  Row row;
  if (std::sscanf(line.c_str(), "%*s %63s %*s %7s %*s %*s %*s %u %*s %lu", local.data(), state.data(), &row.uid,
                  &row.inode) != 4) {
    return std::nullopt;
  }
  auto address = parse_row_address(local.data());
  if (!address) return std::nullopt;
  row.address = std::move(*address);
  row.listens = std::string_view(state.data()) == "0A";
  return row;
}

// The rows of a table of the kernel's, such as /proc/net/tcp. Those of listening sockets come first.
class Rows {
 public:
  explicit Rows(const char* file) : lines_(file) { std::getline(lines_, line_); }
  [[nodiscard]] std::optional<Row> next() {
    while (std::getline(lines_, line_)) {
      if (auto row = parse_row(line_)) return row;
    }
    return std::nullopt;
  }

 private:
  std::ifstream lines_;
  std::string line_;
};

// The tables do not say whether a socket has both families.
bool may_have_both(const Row& row, const ListenAddress& address) {
  return row.address.form == ListenAddress::Form::ipv6 && address.form == ListenAddress::Form::ipv4;
}

// The inode of the socket that is in the way: preferably a listening one, otherwise any socket on the port, such as an
// outgoing connection.
unsigned long colliding_inode(const char* file, const ListenAddress& address) {
  unsigned long other = 0;
  Rows rows(file);
  while (const auto row = rows.next()) {
    if (row->inode == 0 || !config::collide(row->address, address)) continue;
    if (row->listens) return row->inode;
    other = row->inode;
  }
  return other;
}

// An IPv6 socket with both families would already be in the way of an existing IPv4 socket.
bool listens_too(const char* file, const ListenAddress& address, const std::vector<unsigned long>& ours) {
  Rows rows(file);
  while (const auto row = rows.next()) {
    if (!row->listens) return false;
    if (may_have_both(*row, address) || row->uid != geteuid() || !config::collide(row->address, address)) continue;
    if (std::find(ours.begin(), ours.end(), row->inode) == ours.end()) return true;
  }
  return false;
}

bool has_descriptor(const fs::path& process, const std::string& target) {
  std::error_code ignored;
  for (const auto& fd : fs::directory_iterator(process / "fd", ignored)) {
    if (fs::read_symlink(fd.path(), ignored).string() == target) return true;
  }
  return false;
}

// The process with the lowest number that has the socket. In a prefork server that is the one that forked the others.
std::string holder_of_inode(unsigned long inode) {
  const std::string target = fmt::format("socket:[{}]", inode);
  long lowest = 0;
  std::error_code ignored;
  for (const auto& process : fs::directory_iterator("/proc", ignored)) {
    const std::string name = process.path().filename();
    long pid = 0;
    std::from_chars(name.data(), name.data() + name.size(), pid);
    if (pid > 0 && (lowest == 0 || pid < lowest) && has_descriptor(process.path(), target)) lowest = pid;
  }
  return name_of(lowest);
}

// TCP's. Sockets that do not listen are in nobody's way (SO_REUSEADDR).
std::optional<Found> find_listening(const char* file, const ListenAddress& address,
                                    const std::set<unsigned long>& ours) {
  Rows rows(file);
  while (const auto row = rows.next()) {
    if (!row->listens) break;
    if (row->inode == 0 || ours.contains(row->inode) || !config::collide(row->address, address)) continue;
    return Found{row->inode, !may_have_both(*row, address) && address.device.empty(), ""};
  }
  return std::nullopt;
}

// "0000000000000000: 00000002 00000000 00010000 0001 01 12345 /run/x.sock" (proc(5))
std::optional<Found> find_listening_unix(const ListenAddress& address, const std::set<unsigned long>& ours) {
  constexpr unsigned kAccepts = 1U << 16;  // the kernel's __SO_ACCEPTCON
  std::ifstream lines("/proc/net/unix");
  std::string line;
  while (std::getline(lines, line)) {
    unsigned flags = 0;
    unsigned long inode = 0;
    int at = 0;
    if (std::sscanf(line.c_str(), "%*s %*s %*s %x %*s %*s %lu %n", &flags, &inode, &at) != 2 || at == 0) continue;
    const bool same = std::string_view(line).substr(static_cast<std::size_t>(at)) == address.path;
    if (same && (flags & kAccepts) != 0 && !ours.contains(inode)) return Found{inode, true, ""};
  }
  return std::nullopt;
}

}  // namespace

std::optional<Found> listening_at(const ListenAddress& address, const std::set<unsigned long>& ours) {
  if (address.is_inherited()) return std::nullopt;
  std::optional<Found> found;
  if (address.is_ip()) {
    found = find_listening("/proc/net/tcp", address, ours);
    if (!found || !found->certain) {
      if (auto other = find_listening("/proc/net/tcp6", address, ours)) found = std::move(other);
    }
  } else {
    found = find_listening_unix(address, ours);
  }
  if (found) found->holder = holder_of_inode(found->inode);
  return found;
}

std::optional<std::set<unsigned long>> sockets_of(pid_t process) {
  std::error_code error;
  std::set<unsigned long> out;
  for (const auto& fd : fs::directory_iterator(fmt::format("/proc/{}/fd", process), error)) {
    std::error_code gone;
    const std::string target = fs::read_symlink(fd.path(), gone).string();
    unsigned long inode = 0;
    if (std::sscanf(target.c_str(), "socket:[%lu]", &inode) == 1) out.insert(inode);
  }
  return error ? std::nullopt : std::optional(std::move(out));
}

std::string holder_of(const ListenAddress& address) {
  if (!address.is_ip()) return holder_of_unix(address);
  for (const char* file : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    if (const unsigned long inode = colliding_inode(file, address); inode != 0) return holder_of_inode(inode);
  }
  return kSomebody;
}

bool is_held_by_others(const ListenAddress& address, std::span<const int> ours) {
  std::vector<unsigned long> inodes;
  for (const int fd : ours) {
    struct stat status {};
    if (fstat(fd, &status) == 0) inodes.push_back(status.st_ino);
  }
  return listens_too("/proc/net/tcp", address, inodes) || listens_too("/proc/net/tcp6", address, inodes);
}

}  // namespace bulkhead::net
