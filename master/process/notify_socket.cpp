#include "master/process/notify_socket.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>

#include "worker/sys/fd_passing.h"

namespace bulkhead::process {

namespace {

bool belongs_to(pid_t sender, pid_t leader) {
  return sender == leader || (sender > 0 && (getpgid(sender) == leader || getsid(sender) == leader));
}

}  // namespace

sys::Result<NotifySocket> open_notify_socket() {
  NotifySocket out;
  out.fd.reset(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!out.fd) return sys::Error{"socket", "for notifications", errno};
  const int on = 1;
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  socklen_t length = sizeof(sa_family_t);  // autobind
  auto* address = reinterpret_cast<sockaddr*>(&name);
  if (setsockopt(out.fd.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0 ||
      bind(out.fd.get(), address, length) != 0) {
    return sys::Error{"bind", "a socket for notifications", errno};
  }
  length = sizeof name;
  if (getsockname(out.fd.get(), address, &length) != 0) return sys::Error{"getsockname", "for notifications", errno};
  // The name is "\0" and what follows; programs write the NUL as "@" (sd_notify(3)).
  const std::size_t prefix = offsetof(sockaddr_un, sun_path) + 1;
  out.address = "@" + std::string(name.sun_path + 1, length > prefix ? length - prefix : 0);
  return out;
}

ReceivedNotification receive_notification(int fd, pid_t leader) {
  char text[kMaxNotification];
  const sys::Datagram got = sys::receive_with_sender(fd, text);
  ReceivedNotification out;
  if (got.size < 0) return out;
  out.sender = got.sender;
  out.kind = ReceivedNotification::Kind::stranger;
  if (got.is_cut || !belongs_to(out.sender, leader)) return out;
  out.kind = ReceivedNotification::Kind::message;
  out.notification = parse_notification({text, static_cast<std::size_t>(got.size)});
  return out;
}

}  // namespace bulkhead::process
