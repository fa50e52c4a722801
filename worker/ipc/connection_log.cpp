#include "worker/ipc/connection_log.h"

#include <sys/wait.h>

#include "worker/log/log.h"
#include "worker/sys/signal.h"

namespace bulkhead::ipc {

namespace {

void add_peers(log::Line& line, const Slot& slot) noexcept {
  const PeerText peer(slot.peer);
  line.field("peer", peer.view());
  if (slot.real_peer.family == AF_UNSPEC) return;
  const PeerText real(slot.real_peer);
  line.field("real_peer", real.view());
}

}  // namespace

bool is_crash(const Ended& ended) noexcept {
  return ended.known && !ended.asked && !(WIFEXITED(ended.wait_status) && WEXITSTATUS(ended.wait_status) == 0);
}

std::string_view hex_text(std::uint64_t value, char* out) noexcept {
  static constexpr char kHex[] = "0123456789abcdef";
  char reversed[16];
  std::size_t count = 0;
  do {
    reversed[count++] = kHex[value & 15];
    value >>= 4;
  } while (value != 0);
  for (std::size_t i = 0; i < count; ++i) out[i] = reversed[count - 1 - i];
  out[count] = '\0';
  return {out, count};
}

void log_connection_started(std::string_view listener, std::uint64_t id, const Slot& slot) noexcept {
  char hex[17];
  log::Line line(log::Level::info, listener);
  line.text("connection ").text(hex_text(id, hex)).text(" started");
  add_peers(line, slot);
  line.field("pid", slot.pid).write();
}

void log_connection_ended(std::string_view listener, std::uint64_t id, const Slot& slot, const Ended& ended,
                          std::int64_t now_ns) noexcept {
  char hex[17];
  const bool crashed = is_crash(ended);
  log::Line line(crashed ? log::Level::warning : log::Level::info, listener);
  line.text("connection ").text(hex_text(id, hex));
  const bool signalled = ended.known && WIFSIGNALED(ended.wait_status);
  if (!ended.known) {
    line.text(" ended while its worker was being replaced");
  } else if (ended.asked) {
    line.text(" was ended");
  } else if (signalled) {
    line.text(" crashed: killed by ").text(sys::signal_name(WTERMSIG(ended.wait_status)));
  } else if (crashed) {
    line.text(" ended with exit status ").number(WEXITSTATUS(ended.wait_status));
  } else {
    line.text(" ended");
  }
  add_peers(line, slot);
  line.field("pid", slot.pid).field_seconds("age", now_ns - slot.started_ns);
  if (signalled) {
    line.field("signal", sys::signal_name(WTERMSIG(ended.wait_status)));
    if (WCOREDUMP(ended.wait_status)) line.field("core", "yes");
  } else if (ended.known) {
    line.field("status", WEXITSTATUS(ended.wait_status));
  }
  line.write();
}

}  // namespace bulkhead::ipc
