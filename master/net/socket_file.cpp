#include "master/net/socket_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace bulkhead::net {

namespace {

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

bool same_file(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

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
      if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) return sys::Error{"lock", path_, EADDRINUSE};
      // A faster holder may have removed the file that is now locked.
      struct stat ours {};
      struct stat there {};
      if (fstat(fd.get(), &ours) == 0 && lstat(path_.c_str(), &there) == 0 && same_file(ours, there)) {
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

// A connection to a socket without a listener is refused; any other file is in use or belongs to somebody else.
MaybeError remove_dead_file(const std::string& path) {
  struct stat found {};
  if (lstat(path.c_str(), &found) != 0) return errno == ENOENT ? std::nullopt : failed("stat", path);
  if (!S_ISSOCK(found.st_mode)) return sys::Error{"bind", path, EEXIST};
  const sys::Fd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe) return failed("socket", path);
  const sockaddr_un address = address_of(path);
  // EAGAIN: its queue is full. EPROTOTYPE: in use, with another type.
  if (connect(probe.get(), raw(address), sizeof address) == 0 || errno == EAGAIN || errno == EPROTOTYPE) {
    return sys::Error{"bind", path, EADDRINUSE};
  }
  if (errno == ENOENT) return std::nullopt;
  if (errno != ECONNREFUSED) return failed("connect", path);
  struct stat now {};
  if (lstat(path.c_str(), &now) != 0) return errno == ENOENT ? std::nullopt : failed("stat", path);
  if (!same_file(found, now)) return sys::Error{"bind", path, EADDRINUSE};
  return unlink(path.c_str()) == 0 || errno == ENOENT ? std::nullopt : failed("unlink", path);
}

// Linux creates a socket file with mode 0777 minus the umask (unix(7)), so the mode is right from the beginning.
int bind_with_mode(int fd, const sockaddr_un& address, mode_t mode) {
  const mode_t before = umask(0777 & ~mode);
  const int status = bind(fd, raw(address), sizeof address);
  const int error = errno;
  umask(before);
  errno = error;
  return status;
}

MaybeError give(int file, const std::string& path, uid_t owner, gid_t group) {
  return fchownat(file, "", owner, group, AT_EMPTY_PATH) == 0 ? std::nullopt : failed("chown", path);
}

// Clients are refused until listen(2), so the owner is right before the first client is admitted.
sys::Result<SocketFile> bind_and_listen(int fd, const std::string& path, const SocketFileOptions& options) {
  if (bind_with_mode(fd, address_of(path), options.mode) != 0) return sys::Error{"bind", path, errno};
  const sys::Fd made(open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat status {};
  if (!made || fstat(made.get(), &status) != 0) return sys::Error{"stat", path, errno};
  if (!S_ISSOCK(status.st_mode)) return sys::Error{"bind", path, EEXIST};
  SocketFile file(path, status.st_dev, status.st_ino);
  const auto keep = static_cast<uid_t>(-1);
  if (options.owner || options.group) {
    if (auto error = give(made.get(), path, options.owner.value_or(keep), options.group.value_or(keep))) {
      return std::move(*error);
    }
  }
  if (listen(fd, options.backlog) != 0) return sys::Error{"listen", path, errno};
  return file;
}

}  // namespace

SocketFile& SocketFile::operator=(SocketFile&& other) noexcept {
  if (this == &other) return *this;
  remove();
  path_ = std::move(other.path_);
  device_ = other.device_;
  inode_ = std::exchange(other.inode_, 0);
  return *this;
}

bool SocketFile::is_ours() const noexcept {
  struct stat status {};
  return inode_ != 0 && lstat(path_.c_str(), &status) == 0 && status.st_dev == device_ && status.st_ino == inode_;
}

// By the inode and not by the name, which may lead elsewhere a moment later. A descriptor of O_PATH does not take
// fchmod(2), but its name in /proc does.
std::optional<sys::Error> SocketFile::change(const SocketFileOptions& options) const {
  const sys::Fd file(open(path_.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat status {};
  if (inode_ == 0 || !file || fstat(file.get(), &status) != 0) return std::nullopt;
  if (status.st_dev != device_ || status.st_ino != inode_) return std::nullopt;
  if (auto error = give(file.get(), path_, options.owner.value_or(geteuid()), options.group.value_or(getegid()))) {
    return error;
  }
  const std::string itself = "/proc/self/fd/" + std::to_string(file.get());
  return chmod(itself.c_str(), options.mode) == 0 ? std::nullopt : failed("chmod", path_);
}

void SocketFile::remove() noexcept {
  if (is_ours()) unlink(path_.c_str());
  inode_ = 0;
}

std::optional<SocketFile> file_at(const std::string& path) {
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) return std::nullopt;
  return SocketFile(path, status.st_dev, status.st_ino);
}

sys::Result<SocketFile> listen_at(int fd, const std::string& path, const SocketFileOptions& options) {
  if (path.size() >= sizeof sockaddr_un::sun_path) return sys::Error{"bind", path, ENAMETOOLONG};
  StartLock lock(path);
  if (auto error = lock.take()) return std::move(*error);
  if (auto error = remove_dead_file(path)) return std::move(*error);
  return bind_and_listen(fd, path, options);
}

}  // namespace bulkhead::net
