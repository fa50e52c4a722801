#include "master/control/control_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "master/config/default_socket.h"
#include "master/net/socket_repair.h"

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
  const bool trusted = status.st_uid == 0 || status.st_uid == geteuid();
  if (!trusted && path == config::default_control_socket()) {
    errno = EPERM;
    return failed("use of another user's directory", directory);
  }
  return std::nullopt;
}

}  // namespace

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
  return !net::is_shut_down(socket.fd.get()) && socket.file.is_there();
}

bool admit(int fd, std::optional<std::uint32_t> group, Peer& peer) noexcept {
  ucred credentials{};
  socklen_t length = sizeof credentials;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) return false;
  peer = {credentials.uid, credentials.gid, credentials.pid};
  if (peer.uid == 0 || peer.uid == geteuid()) return true;
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
