#include "master/process/notify_socket.h"

#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

namespace bulkhead::process {

namespace {

bool belongs_to(pid_t sender, pid_t leader) {
  return sender == leader || (sender > 0 && (getpgid(sender) == leader || getsid(sender) == leader));
}

// Who sent it, 0 when the kernel does not say.
pid_t sender_of(msghdr& header) {
  const cmsghdr* part = CMSG_FIRSTHDR(&header);
  if (part == nullptr || part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_CREDENTIALS) return 0;
  ucred credentials{};
  std::memcpy(&credentials, CMSG_DATA(part), sizeof credentials);
  return credentials.pid;
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
  iovec part{text, sizeof text};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(ucred))];  // exactly: see the header
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  ssize_t got = -1;
  do {
    got = recvmsg(fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  ReceivedNotification out;
  if (got < 0) return out;
  out.sender = sender_of(header);
  out.kind = ReceivedNotification::Kind::stranger;
  if ((header.msg_flags & MSG_TRUNC) != 0 || !belongs_to(out.sender, leader)) return out;
  out.kind = ReceivedNotification::Kind::message;
  out.notification = parse_notification({text, static_cast<std::size_t>(got)});
  return out;
}

}  // namespace bulkhead::process
