#include "worker/ipc/error_pair.h"

#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <cstring>

namespace bulkhead::ipc {

sys::Result<ErrorPair> make_error_pair() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends) != 0)
    return sys::Error{"socketpair", "stderr of programs", errno};
  ErrorPair pair{sys::Fd(ends[0]), sys::Fd(ends[1])};
  const int on = 1;
  const int half = kMaxErrorWrite / 2;  // the kernel doubles it (socket(7))
  const timeval patience{kErrorPatience.count(), 0};
  if (setsockopt(pair.read.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0 ||
      setsockopt(pair.write.get(), SOL_SOCKET, SO_SNDBUF, &half, sizeof half) != 0 ||
      setsockopt(pair.write.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0)
    return sys::Error{"setsockopt", "stderr of programs", errno};
  return pair;
}

bool receive_error(int read_end, char* buffer, ErrorWrite& out) noexcept {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(ucred))];
  for (;;) {
    iovec part{buffer, kMaxErrorWrite};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    // Descriptors that somebody sends along find no room and are closed by the kernel (MSG_CTRUNC).
    const ssize_t got = recvmsg(read_end, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return false;
    out = {{buffer, static_cast<std::size_t>(got)}, 0};
    const cmsghdr* header = CMSG_FIRSTHDR(&message);
    if (header != nullptr && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_CREDENTIALS) {
      ucred sender{};
      std::memcpy(&sender, CMSG_DATA(header), sizeof sender);
      out.sender = sender.pid;
    }
    return true;
  }
}

}  // namespace bulkhead::ipc
