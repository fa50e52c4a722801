// The socket file: made, guarded and removed. All paths here may block on the file system for as long as mkdir(2) and
// bind(2) do, so they are for the start only.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "master/config/config.h"
#include "master/net/socket_file.h"
#include "worker/sys/fd.h"
#include "worker/sys/result.h"

namespace bulkhead::control {

struct ControlSocket {
  sys::Fd fd;            // nonblocking, close-on-exec, listening
  net::SocketFile file;  // after `fd`, so that it goes before
};

// Makes the directory if it is missing (0755, the last level only), replaces the file of a dead daemon, and binds with
// exactly the mode and group of the configuration: the file never has a wider mode, not for a moment.
// Errors: EADDRINUSE when a living daemon answers there or is just starting, EEXIST when the file is not a socket (it
// is left alone), ENAMETOOLONG beyond 107 bytes, EPERM when the directory of the default path belongs to another user,
// and the errors of the system calls.
[[nodiscard]] sys::Result<ControlSocket> open_control_socket(const config::Control& config);

// Whether a client can connect to it: it was not shut down, and its file still exists.
[[nodiscard]] bool listens(const ControlSocket& socket) noexcept;

// The process at the other end, as the kernel knew it at connect(2) (SO_PEERCRED, unix(7)).
struct Peer {
  uid_t uid = 0;
  gid_t gid = 0;
  pid_t pid = 0;
  bool reads_only = false;  // it runs below a daemon that is not root's
};

// Whether the process `pid` is below `ancestor` (/proc/PID/stat, proc(5)); true also where that cannot be found out,
// such as for one that has ended. `pidfd`, or -1, is the same process's: so another one with its number is not taken
// for it.
[[nodiscard]] bool is_below(pid_t pid, int pidfd, pid_t ancestor);

// False: the peer may not use the socket, because it is neither root, nor the effective user of the daemon, nor a
// member of `group` (its group, or one of its supplementary ones: SO_PEERGROUPS, socket(7)). `peer` is filled in either
// way. A process below a daemon that is not root's may only read: it could otherwise have the daemon start programs
// that its own confinement does not hold. (Below root's daemon a peer that is root can do without us, and may be the
// administrator, who came through a server that the daemon runs.)
[[nodiscard]] bool admit(int fd, std::optional<std::uint32_t> group, Peer& peer);

}  // namespace bulkhead::control
