#include "master/control/control_socket.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>
#include <vector>

#include "master/config/default_socket.h"
#include "master/config/trust.h"
#include "master/process/process_facts.h"
#include "worker/sys/shut_down.h"

namespace bulkhead::control {

namespace {

constexpr int kBacklog = 1024;  // beyond it a nonblocking client is refused; a blocking client waits

using MaybeError = std::optional<sys::Error>;

MaybeError failed(const char* operation, const std::string& subject) {
  return sys::Error{operation, subject, errno};
}

MaybeError prepare_directory(const std::string& path) {
  const std::string directory = path.substr(0, path.rfind('/'));
  if (directory.empty()) return std::nullopt;
  if (mkdir(directory.c_str(), 0755) == 0) {
    // Regardless of the umask. Nobody else can have replaced the directory, because its parent is trusted.
    chmod(directory.c_str(), 0755);
    return std::nullopt;
  }
  if (errno != EEXIST) return failed("mkdir", directory);
  // The default path can be guessed, and may be in /tmp: another user who creates it first could pose as the daemon.
  struct stat status {};
  if (stat(directory.c_str(), &status) != 0) return failed("stat", directory);
  if (!config::is_ours_or_roots(status) && path == config::default_control_socket()) {
    errno = EPERM;
    return failed("use of another user's directory", directory);
  }
  return std::nullopt;
}

// One process of a chain of parents. The start time tells it from another one with the same number.
struct Link {
  pid_t pid = 0;
  pid_t parent = 0;
  std::uint64_t started = 0;
  bool operator==(const Link&) const = default;
};

std::optional<Link> link_of(pid_t pid) {
  const auto facts = process::facts_of(pid);
  return facts ? std::optional(Link{pid, facts->parent, facts->start}) : std::nullopt;
}

// Up to `ancestor`, or to a process without a parent that we can see. Nothing: somebody ended meanwhile.
std::optional<std::vector<Link>> chain_of(pid_t pid, pid_t ancestor) {
  constexpr std::size_t kDeepest = 4096;
  std::vector<Link> out;
  while (pid != ancestor && pid > 0 && out.size() < kDeepest) {
    const auto link = link_of(pid);
    if (!link) return std::nullopt;
    out.push_back(*link);
    pid = link->parent;
  }
  return out;
}

bool has_ended(int pidfd) {
  pollfd ask{pidfd, POLLIN, 0};
  return poll(&ask, 1, 0) != 0;
}

// The peer's pidfd, from the time of its connect(2) (SO_PEERPIDFD, Linux 6.5), or as near to it as can be.
sys::Fd pidfd_of(int fd, pid_t pid) {
  constexpr int kPeerPidfd = 77;
  int out = -1;
  socklen_t length = sizeof out;
  if (getsockopt(fd, SOL_SOCKET, kPeerPidfd, &out, &length) == 0) return sys::Fd(out);
  return sys::Fd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
}

}  // namespace

// The parent of a process may end while the chain is read, and the process then gets another parent. So a chain counts
// only when it was read twice and was the same.
bool is_below(pid_t pid, int pidfd, pid_t ancestor) {
  constexpr int kAttempts = 8;
  if (pid == 0) return false;  // it is outside our pid namespace, which our descendants cannot leave
  std::optional<std::vector<Link>> before;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    auto chain = chain_of(pid, ancestor);
    if (pidfd < 0 || has_ended(pidfd)) return true;
    if (chain && chain == before) return chain->empty() || chain->back().parent == ancestor;
    before = std::move(chain);
  }
  return true;
}

sys::Result<ControlSocket> open_control_socket(const config::Control& config) {
  if (auto error = prepare_directory(config.socket)) return std::move(*error);
  ControlSocket out;
  out.fd.reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!out.fd) return sys::Error{"socket", config.socket, errno};
  auto file = net::listen_at(out.fd.get(), config.socket, {config.mode, std::nullopt, config.group, kBacklog});
  if (!file) return file.error();
  out.file = std::move(*file);
  return out;
}

bool listens(const ControlSocket& socket) noexcept {
  return !sys::is_shut_down(socket.fd.get()) && socket.file.is_there();
}

bool admit(int fd, std::optional<std::uint32_t> group, Peer& peer) {
  ucred credentials{};
  socklen_t length = sizeof credentials;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) return false;
  peer = {credentials.uid, credentials.gid, credentials.pid, false};
  if (peer.uid == 0) return true;
  if (peer.uid == geteuid()) {
    peer.reads_only = is_below(peer.pid, pidfd_of(fd, peer.pid).get(), getpid());
    return true;
  }
  if (!group) return false;
  if (peer.gid == *group) return true;
  std::vector<gid_t> groups(64);
  for (int attempt = 0; attempt < 2; ++attempt) {
    length = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &length) == 0) break;
    if (errno != ERANGE || attempt == 1) return false;
    groups.resize(length / sizeof(gid_t));  // the kernel has set the length
  }
  groups.resize(length / sizeof(gid_t));
  return std::find(groups.begin(), groups.end(), *group) != groups.end();
}

}  // namespace bulkhead::control
