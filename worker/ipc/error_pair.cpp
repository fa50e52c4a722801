#include "worker/ipc/error_pair.h"

#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>

#include "worker/sys/fd_passing.h"

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
  const sys::Datagram got = sys::receive_with_sender(read_end, {buffer, kMaxErrorWrite});
  if (got.size < 0) return false;
  out = {{buffer, static_cast<std::size_t>(got.size)}, got.sender};
  return true;
}

}  // namespace bulkhead::ipc
