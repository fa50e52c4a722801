// The file of a Unix socket: made with the right mode and owner from its first moment, in place of a dead one but never
// of a living one or of anything else, and removed by nobody but whoever made it. For listeners and the control socket.
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

// The file that we have made; gone with the object, if it is still the same. It has to go before its socket is closed:
// an open socket keeps the inode even of a file that was deleted, so that no other can have its number.
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
  // Another mode and owner; absent: the daemon's. Nothing happens to a file that is not ours any more.
  [[nodiscard]] std::optional<sys::Error> change(const SocketFileOptions& options) const;
  void remove() noexcept;
  // It is somebody else's to remove.
  void disown() noexcept { inode_ = 0; }
  [[nodiscard]] std::uint64_t device() const noexcept { return device_; }
  [[nodiscard]] std::uint64_t inode() const noexcept { return inode_; }  // 0: there is none

 private:
  [[nodiscard]] bool is_ours() const noexcept;
  std::string path_;
  std::uint64_t device_ = 0;
  std::uint64_t inode_ = 0;  // 0: none
};

// The file of a socket that an earlier instance of ours has bound there; nothing: there is none any more.
[[nodiscard]] std::optional<SocketFile> file_at(const std::string& path);

// Binds `fd`, a fresh AF_UNIX socket, to `path` (at most 107 bytes) and listens. Two processes that start at once would
// each find the other's socket dead before it listens, so a lock file beside it lets only one at a time look; the lock
// goes with its holder, and its file with the lock.
// Errors: EADDRINUSE when a server answers there or another one is starting; EEXIST when something else than a socket
// is there; else what the system says. On an error nothing of ours is left.
[[nodiscard]] sys::Result<SocketFile> listen_at(int fd, const std::string& path, const SocketFileOptions& options);

}  // namespace bulkhead::net
