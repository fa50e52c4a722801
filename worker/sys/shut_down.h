// Whether some process has shut a listening socket down (shutdown(2)): any that has it can. A TCP socket hangs up then;
// a Unix socket has at least no more to read (tcp(7), unix(7)).
#pragma once

#include <poll.h>

namespace bulkhead::sys {

[[nodiscard]] inline bool is_shut_down(int socket) noexcept {
  pollfd look{socket, POLLRDHUP, 0};
  return ::poll(&look, 1, 0) > 0 && (look.revents & (POLLHUP | POLLRDHUP | POLLNVAL)) != 0;
}

}  // namespace bulkhead::sys
