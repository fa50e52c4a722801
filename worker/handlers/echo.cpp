#include "worker/handlers/echo.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "worker/sys/raw.h"

namespace bulkhead::handlers {

namespace {

// False: the client is gone.
[[gnu::hot]] bool send_all(int out, const char* bytes, std::size_t length) noexcept {
  while (length > 0) {
    const long sent = sys::raw(SYS_sendto, out, sys::raw_pointer(bytes), static_cast<long>(length), MSG_NOSIGNAL);
    if (sent == -EINTR) continue;
    if (sent <= 0) return false;
    bytes += sent;
    length -= static_cast<std::size_t>(sent);
  }
  return true;
}

// How much of `filled` bytes, of which the last `fresh` are new, may go back: up to and including the last newline.
[[gnu::hot]] std::size_t up_to_newline(const char* buffer, std::size_t filled, std::size_t fresh) noexcept {
  if (buffer[filled - 1] == '\n') return filled;
  const void* last = memrchr(buffer + filled - fresh, '\n', fresh);
  return last == nullptr ? 0 : static_cast<std::size_t>(static_cast<const char*>(last) - buffer) + 1;
}

}  // namespace

[[gnu::hot]] int echo(int in, int out) noexcept {
  char buffer[64 * 1024];
  std::size_t held = 0;
  for (;;) {
    const long got = sys::raw(SYS_read, in, sys::raw_pointer(buffer + held), static_cast<long>(sizeof buffer - held));
    if (got == -EINTR) continue;
    if (got <= 0) {
      // End of input: what is held is a last line without its newline. A reset (ECONNRESET, ETIMEDOUT) has no reader.
      if (got == 0) send_all(out, buffer, held);
      return 0;
    }
    const auto fresh = static_cast<std::size_t>(got);
    const std::size_t filled = held + fresh;
    std::size_t ready = up_to_newline(buffer, filled, fresh);
    if (ready == 0 && filled == sizeof buffer) ready = filled;  // longer than we hold: pass it on in pieces
    if (!send_all(out, buffer, ready)) return 0;
    held = filled - ready;
    if (held > 0 && ready > 0) std::memmove(buffer, buffer + ready, held);
  }
}

}  // namespace bulkhead::handlers
