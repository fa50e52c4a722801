// The master's end of sd_notify(3), one socket per run of a process child. Its address is an abstract one that the
// kernel picks (unix(7), autobind): nothing to clean up, nobody can take it first, and a child of another user can
// reach it.
//
// Anybody on the machine can send to it too, so only messages count whose sender the kernel names (SCM_CREDENTIALS) and
// places in the child's group or session. One that is gone before we look cannot be placed; sd_notify_barrier(3),
// which systemd-notify(1) uses, keeps it waiting: the descriptor that comes with a BARRIER=1 never enters the master,
// because there is no room for one, and the kernel closes it.
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
// The next datagram. `leader` is our unreaped child, alone or with a group and a session of its own. Longer ones than
// kMaxNotification are taken for a stranger's.
[[nodiscard]] ReceivedNotification receive_notification(int fd, pid_t leader);

}  // namespace bulkhead::process
