// The file of a Unix socket. It has the right mode and owner from its first moment, replaces a dead socket but never
// one in use or any other file, and is removed only by the process that created it. For listeners and the control
// socket.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "worker/sys/fd.h"
#include "worker/sys/result.h"

namespace bulkhead::net {

struct SocketFileOptions {
  std::uint32_t mode = 0600;
  std::optional<std::uint32_t> owner;  // absent: as the kernel makes it
  std::optional<std::uint32_t> group;
  int backlog = 1024;
};

// A socket file that this process created. The destructor removes it, if it is still the same file. Destroy it before
// its socket is closed: an open socket keeps the inode even of a deleted file, so that no other file can have the same
// number.
class SocketFile {
 public:
  SocketFile() = default;
  SocketFile(std::string path, std::uint64_t device, std::uint64_t inode)
      : path_(std::move(path)), device_(device), inode_(inode) {}
  SocketFile(SocketFile&& other) noexcept { *this = std::move(other); }
  SocketFile& operator=(SocketFile&& other) noexcept;
  SocketFile(const SocketFile&) = delete;
  SocketFile& operator=(const SocketFile&) = delete;
  ~SocketFile() { remove(); }

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  // Sets another mode and owner; absent: the daemon's. Does nothing if the file is no longer the same.
  [[nodiscard]] std::optional<sys::Error> change(const SocketFileOptions& options) const;
  void remove() noexcept;
  // The path still leads to it.
  [[nodiscard]] bool is_there() const noexcept { return is_ours(); }
  // Another process now removes the file.
  void disown() noexcept { inode_ = 0; }
  [[nodiscard]] std::uint64_t device() const noexcept { return device_; }
  [[nodiscard]] std::uint64_t inode() const noexcept { return inode_; }  // 0: none

 private:
  [[nodiscard]] bool is_ours() const noexcept;
  std::string path_;
  std::uint64_t device_ = 0;
  std::uint64_t inode_ = 0;  // 0: none
};

// The file of a socket that an earlier instance of the daemon has bound there; empty if it no longer exists.
[[nodiscard]] std::optional<SocketFile> file_at(const std::string& path);

// Binds `fd`, a fresh AF_UNIX socket, to `path` (at most 107 bytes) and listens. Two processes that start at the same
// time would each find the other's socket dead before it listens, so only the holder of a lock file beside it may
// check; the lock ends with its holder, and the lock file is removed with the lock. Errors: EADDRINUSE when a server
// answers there or another one is starting; EEXIST when a file other than a socket is there; otherwise those of the
// system. After an error no file of this process is left.
[[nodiscard]] sys::Result<SocketFile> listen_at(int fd, const std::string& path, const SocketFileOptions& options);

}  // namespace bulkhead::net
