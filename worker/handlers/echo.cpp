#include "worker/handlers/echo.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

namespace bulkhead::handlers {

namespace {

// False: the client is gone.
bool send_all(int out, const char* bytes, std::size_t length) noexcept {
  while (length > 0) {
    const ssize_t sent = ::send(out, bytes, length, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    bytes += sent;
    length -= static_cast<std::size_t>(sent);
  }
  return true;
}

}  // namespace

int echo(int in, int out) noexcept {
  char buffer[64 * 1024];
  std::size_t held = 0;
  for (;;) {
    const ssize_t got = ::read(in, buffer + held, sizeof buffer - held);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      // End of input: what is held is a last line without its newline. A reset (ECONNRESET, ETIMEDOUT) has no reader.
      if (got == 0) send_all(out, buffer, held);
      return 0;
    }
    const std::size_t filled = held + static_cast<std::size_t>(got);
    const void* last = memrchr(buffer + held, '\n', static_cast<std::size_t>(got));
    std::size_t ready = last == nullptr ? 0 : static_cast<std::size_t>(static_cast<const char*>(last) - buffer) + 1;
    if (ready == 0 && filled == sizeof buffer) ready = filled;  // longer than we hold: pass it on in pieces
    if (!send_all(out, buffer, ready)) return 0;
    held = filled - ready;
    if (held > 0 && ready > 0) std::memmove(buffer, buffer + ready, held);
  }
}

}  // namespace bulkhead::handlers
