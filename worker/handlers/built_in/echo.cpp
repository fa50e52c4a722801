#include <cstring>

#include "worker/handlers/built_in.h"

namespace bulkhead::handlers {

namespace {

// How many of `filled` bytes, the last `fresh` of them new, may be sent back: up to and including the last newline.
[[gnu::hot]] std::size_t up_to_newline(const char* buffer, std::size_t filled, std::size_t fresh) noexcept {
  if (buffer[filled - 1] == '\n') return filled;
  const void* last = memrchr(buffer + filled - fresh, '\n', fresh);
  return last == nullptr ? 0 : static_cast<std::size_t>(static_cast<const char*>(last) - buffer) + 1;
}

}  // namespace

[[gnu::hot]] ipc::ExitCode echo(Client& client) noexcept {
  char buffer[64 * 1024];
  std::size_t held = 0;
  bool any = false;
  for (;;) {
    const std::size_t fresh = client.read(buffer + held, sizeof buffer - held);
    if (fresh == 0) break;
    any = true;
    const std::size_t filled = held + fresh;
    std::size_t ready = up_to_newline(buffer, filled, fresh);
    if (ready == 0 && filled == sizeof buffer) ready = filled;  // longer than we hold: pass it on in pieces
    if (!client.write(buffer, ready)) return client.how();
    held = filled - ready;
    if (held > 0 && ready > 0) std::memmove(buffer, buffer + ready, held);
  }
  // A last line without its newline. After a reset, or an idle_timeout, no client waits for it.
  if (client.at_end_of_input() && !client.write(buffer, held)) return client.how();
  return any || client.how() != ipc::ExitCode::done ? client.how() : ipc::ExitCode::no_input;
}

}  // namespace bulkhead::handlers
