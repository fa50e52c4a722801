// The master's end of sd_notify(3), one socket per run of a process child. Its address is an abstract one that the
// kernel picks (unix(7), autobind): nothing has to be cleaned up, no other process can take it first, and a child of
// another user can reach it.
//
// Any process on the machine can send to it too, so a message counts only if the kernel
// names its sender (SCM_CREDENTIALS) and that process is in the child's group or session. A sender that has exited
// before the check cannot be identified; sd_notify_barrier(3), which systemd-notify(1) uses, keeps it waiting: the
// descriptor that comes with a BARRIER=1 never enters the master, because there is no room for one, and the kernel
// closes it.
#pragma once

#include <sys/types.h>

#include <string>

#include "master/process/notification.h"
#include "worker/sys/fd.h"
#include "worker/sys/result.h"

namespace bulkhead::process {

struct NotifySocket {
  sys::Fd fd;           // close-on-exec, nonblocking
  std::string address;  // for NOTIFY_SOCKET: "@00a1b"
};
[[nodiscard]] sys::Result<NotifySocket> open_notify_socket();

struct ReceivedNotification {
  enum class Kind { message, stranger, nothing } kind = Kind::nothing;
  pid_t sender = 0;  // 0: not named
  Notification notification;
};
// The next datagram. `leader` is our unreaped child, alone or with a group and a session of its own. Datagrams longer
// than kMaxNotification are treated as a stranger's.
[[nodiscard]] ReceivedNotification receive_notification(int fd, pid_t leader);

}  // namespace bulkhead::process
