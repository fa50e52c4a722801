#include "master/control/control_socket.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "master/config/default_socket.h"

namespace bulkhead::control {

namespace {

constexpr int kBacklog = 1024;  // beyond it a nonblocking client is refused; one that waits is not

using MaybeError = std::optional<sys::Error>;

MaybeError failed(const char* operation, const std::string& subject) {
  return sys::Error{operation, subject, errno};
}

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

const sockaddr* raw(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

MaybeError prepare_directory(const std::string& path) {
  const std::string directory = path.substr(0, path.rfind('/'));
  if (directory.empty()) return std::nullopt;
  if (mkdir(directory.c_str(), 0755) == 0) {
    chmod(directory.c_str(), 0755);  // whatever our umask is; nobody else can have replaced it: its parent is trusted
    return std::nullopt;
  }
  if (errno != EEXIST) return failed("mkdir", directory);
  // The default is a name that anybody can guess, and may be in /tmp: whoever was there first could stand in for us.
  struct stat status {};
  if (stat(directory.c_str(), &status) != 0) return failed("stat", directory);
  const bool trusted = status.st_uid == 0 || status.st_uid == geteuid();
  if (!trusted && path == config::default_control_socket()) {
    errno = EPERM;
    return failed("use of another user's directory", directory);
  }
  return std::nullopt;
}

// Two daemons that start at once would each find the other's socket dead before it listens, so only one at a time
// looks. The lock is gone with its holder, and its file with the lock.
class StartLock {
 public:
  explicit StartLock(const std::string& socket) : path_(socket + ".lock") {}
  ~StartLock() {
    if (fd_) unlink(path_.c_str());
  }
  StartLock(const StartLock&) = delete;
  StartLock& operator=(const StartLock&) = delete;

  [[nodiscard]] MaybeError take() {
    for (int attempt = 0; attempt < 100; ++attempt) {
      sys::Fd fd(open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
      if (!fd) return failed("open", path_);
      if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
        return sys::Error{"another bulkheadd is starting on", path_, EADDRINUSE};
      }
      // A holder that was faster may have removed the file that we have locked.
      struct stat ours {};
      struct stat there {};
      const bool same = fstat(fd.get(), &ours) == 0 && lstat(path_.c_str(), &there) == 0 &&
                        ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
      if (same) {
        fd_ = std::move(fd);
        return std::nullopt;
      }
    }
    return sys::Error{"lock", path_, EADDRINUSE};
  }

 private:
  std::string path_;
  sys::Fd fd_;
};

// A socket that nobody listens on refuses; anything else there is alive or not ours to remove.
MaybeError remove_dead_file(const std::string& path) {
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0) return errno == ENOENT ? std::nullopt : failed("stat", path);
  if (!S_ISSOCK(status.st_mode)) return sys::Error{"bind", path, ENOTSOCK};
  const sys::Fd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe) return failed("socket", path);
  const sockaddr_un address = address_of(path);
  if (connect(probe.get(), raw(address), sizeof address) == 0 || errno == EAGAIN) {
    return sys::Error{"another bulkheadd answers on", path, EADDRINUSE};
  }
  if (errno == ENOENT) return std::nullopt;
  if (errno != ECONNREFUSED) return failed("connect", path);
  return unlink(path.c_str()) == 0 || errno == ENOENT ? std::nullopt : failed("unlink", path);
}

// Linux gives a socket file the mode 0777 without the umask's bits (unix(7)), so there is nothing to correct
// afterwards.
int bind_with_mode(int fd, const sockaddr_un& address, mode_t mode) {
  const mode_t before = umask(0777 & ~mode);
  const int status = bind(fd, raw(address), sizeof address);
  const int error = errno;
  umask(before);
  errno = error;
  return status;
}

// Until listen(2) a client is refused, so the group is right before anybody gets in.
MaybeError bind_and_listen(ControlSocket& out, const config::Control& config) {
  const std::string& path = out.path;
  out.fd.reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!out.fd) return failed("socket", path);
  if (bind_with_mode(out.fd.get(), address_of(path), config.mode) != 0) return failed("bind", path);
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0) return failed("stat", path);
  out.device = status.st_dev;
  out.inode = status.st_ino;
  if (config.group && lchown(path.c_str(), static_cast<uid_t>(-1), *config.group) != 0) return failed("chown", path);
  if (listen(out.fd.get(), kBacklog) != 0) return failed("listen", path);
  return std::nullopt;
}

}  // namespace

sys::Result<ControlSocket> open_control_socket(const config::Control& config) {
  ControlSocket out;
  out.path = config.socket;
  if (out.path.size() >= sizeof sockaddr_un::sun_path) return sys::Error{"bind", out.path, ENAMETOOLONG};
  if (auto error = prepare_directory(out.path)) return std::move(*error);
  StartLock lock(out.path);
  if (auto error = lock.take()) return std::move(*error);
  if (auto error = remove_dead_file(out.path)) return std::move(*error);
  if (auto error = bind_and_listen(out, config)) {
    remove_socket_file(out);
    return std::move(*error);
  }
  return out;
}

void remove_socket_file(const ControlSocket& socket) noexcept {
  struct stat status {};
  const bool ours = socket.inode != 0 && lstat(socket.path.c_str(), &status) == 0 && status.st_dev == socket.device &&
                    status.st_ino == socket.inode;
  if (ours) unlink(socket.path.c_str());
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
    groups.resize(length / sizeof(gid_t));  // it says how many there are
  }
  groups.resize(length / sizeof(gid_t));
  return std::find(groups.begin(), groups.end(), *group) != groups.end();
}

}  // namespace bulkhead::control
