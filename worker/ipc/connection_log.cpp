#include "worker/ipc/connection_log.h"

#include <sys/wait.h>

#include <csignal>

#include "worker/ipc/exit_code.h"
#include "worker/ipc/source_key.h"
#include "worker/log/log.h"
#include "worker/sys/signal.h"
#include "worker/sys/signal_name.h"

namespace bulkhead::ipc {

namespace {

void add_peers(log::Line& line, const Slot& slot) noexcept {
  add_peer(line, "peer", slot.peer);
  if (slot.real_peer.family != AF_UNSPEC) add_peer(line, "real_peer", slot.real_peer);
}

bool is_signalled(const Ended& ended) noexcept {
  return ended.known && WIFSIGNALED(ended.wait_status);
}

void say_outcome(log::Line& line, Outcome outcome, const Ended& ended) noexcept {
  switch (outcome) {
    case Outcome::normal:
    case Outcome::no_input: line.text(" ended"); break;
    case Outcome::idle_timeout: line.text(" ended: idle_timeout reached"); break;
    case Outcome::first_byte_timeout: line.text(" ended: first_byte_timeout reached"); break;
    case Outcome::max_lifetime: line.text(" ended: max_lifetime reached"); break;
    case Outcome::dropped: line.text(" ended: dropped to make room"); break;
    case Outcome::client_gone: line.text(" ended: the client left first"); break;
    case Outcome::asked: line.text(" ended on request"); break;
    case Outcome::unknown: line.text(" ended while its worker was being replaced"); break;
    case Outcome::crash:
      line.text(" crashed: ");
      if (is_signalled(ended)) {
        line.text("killed by ").text(sys::signal_name(WTERMSIG(ended.wait_status)));
      } else {
        line.text("exit status ").number(WEXITSTATUS(ended.wait_status));
      }
      break;
  }
}

Outcome outcome_of(EndCause cause) noexcept {
  switch (cause) {
    case EndCause::idle_timeout: return Outcome::idle_timeout;
    case EndCause::first_byte_timeout: return Outcome::first_byte_timeout;
    case EndCause::client_gone: return Outcome::client_gone;
    case EndCause::dropped: return Outcome::dropped;
    default: return Outcome::max_lifetime;
  }
}

std::string_view reason_of(Outcome outcome) noexcept {
  switch (outcome) {
    case Outcome::idle_timeout:
    case Outcome::first_byte_timeout:
    case Outcome::max_lifetime: return "timeout";
    case Outcome::dropped: return "dropped";
    case Outcome::client_gone: return "client_gone";
    default: return {};
  }
}

std::string_view overdue_text(EndCause cause) noexcept {
  switch (cause) {
    case EndCause::idle_timeout: return " was idle for its idle_timeout: sending ";
    case EndCause::first_byte_timeout: return " sent nothing within first_byte_timeout: sending ";
    case EndCause::client_gone: return " has lost its client: sending ";
    case EndCause::dropped: return " is dropped to make room: sending ";
    default: return " reached its max_lifetime: sending ";
  }
}

std::string_view overdue_reason(EndCause cause) noexcept {
  switch (cause) {
    case EndCause::client_gone: return "client_gone";
    case EndCause::dropped: return "dropped";
    default: return "timeout";
  }
}

ConnectionEvent event_of(Outcome outcome) noexcept {
  switch (outcome) {
    case Outcome::crash: return ConnectionEvent::crashed;
    case Outcome::client_gone: return ConnectionEvent::client_gone;
    default: return ConnectionEvent::ended;
  }
}

void add_outcome(log::Line& line, Outcome outcome, const Ended& ended) noexcept {
  if (const std::string_view reason = reason_of(outcome); !reason.empty()) line.field("reason", reason);
  if (is_signalled(ended)) {
    line.field("signal", sys::signal_name(WTERMSIG(ended.wait_status)));
    line.field("core", static_cast<bool>(WCOREDUMP(ended.wait_status)));
  } else if (ended.built_in && outcome == Outcome::idle_timeout) {
    return;
  } else if (outcome == Outcome::no_input) {
    line.field("status", 0).field("input", "none");
  } else if (ended.known) {
    line.field("status", WEXITSTATUS(ended.wait_status));
  }
}

}  // namespace

Ended ended_of(const Slot& slot, std::optional<int> wait_status, const ExitStatuses& normal) noexcept {
  return {.known = wait_status.has_value(),
          .wait_status = wait_status.value_or(0),
          .asked = slot.asked != 0,
          .cause = slot.lifetime == Lifetime::going_on ? EndCause::none : slot.cause,
          .built_in = slot.built_in != 0,
          .normal = normal};
}

Outcome outcome_of(const Ended& ended) noexcept {
  if (!ended.known) return Outcome::unknown;
  if (ended.cause != EndCause::none) return outcome_of(ended.cause);
  if (ended.asked) return Outcome::asked;
  // Its standard output is the connection, which nobody reads any more.
  if (WIFSIGNALED(ended.wait_status) && WTERMSIG(ended.wait_status) == SIGPIPE) return Outcome::client_gone;
  if (!WIFEXITED(ended.wait_status)) return Outcome::crash;
  const int status = WEXITSTATUS(ended.wait_status);
  if (!ended.built_in && ended.normal.holds(status)) return Outcome::normal;
  if (!ended.built_in) return ended.closed_by == ClosedBy::client ? Outcome::client_gone : Outcome::crash;
  switch (static_cast<ExitCode>(status)) {
    case ExitCode::done: return Outcome::normal;
    case ExitCode::no_input: return Outcome::no_input;
    case ExitCode::idle_timeout: return Outcome::idle_timeout;
  }
  return Outcome::crash;
}

EndCount count_of(const Ended& ended) noexcept {
  switch (outcome_of(ended)) {
    case Outcome::crash: return EndCount::crashed;
    case Outcome::client_gone: return EndCount::client_gone;
    default: return EndCount::normal;
  }
}

bool may_be_client_gone(const Ended& ended) noexcept {
  return !ended.built_in && WIFEXITED(ended.wait_status) && outcome_of(ended) == Outcome::crash;
}

bool is_crash(const Ended& ended) noexcept {
  return outcome_of(ended) == Outcome::crash;
}

bool is_logged(const Ended& ended, bool log_ends) noexcept {
  return log_ends || is_crash(ended);
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

void add_event(log::Line& line, ConnectionEvent event) noexcept {
  line.field("event", kConnectionEventWords.text(event));
}

void add_peer(log::Line& line, std::string_view name, const Peer& peer) noexcept {
  switch (line.addresses()) {
    case log::Addresses::full: line.field(name, PeerText(peer).view()); break;
    case log::Addresses::prefix: line.field(name, SourceText(shown_prefix(peer)).view()); break;
    case log::Addresses::none: break;
  }
}

void add_connection(log::Line& line, std::string_view connection, ConnectionEvent event) noexcept {
  line.field("connection", connection);
  add_event(line, event);
}

void log_connection_started(const log::Place& listener, std::uint64_t id, const Slot& slot) noexcept {
  char hex[17];
  log::Line line(log::Level::info, listener);
  line.text("connection ").text(hex_text(id, hex)).text(" started");
  add_connection(line, hex, ConnectionEvent::started);
  add_peers(line, slot);
  line.field("pid", slot.pid).write();
}

void log_connection_ended(const log::Place& listener, std::uint64_t id, const Slot& slot, const Ended& ended,
                          std::int64_t now_ns) noexcept {
  char hex[17];
  const Outcome outcome = outcome_of(ended);
  log::Line line(outcome == Outcome::crash ? log::Level::warning : log::Level::info, listener);
  line.text("connection ").text(hex_text(id, hex));
  say_outcome(line, outcome, ended);
  add_connection(line, hex, event_of(outcome));
  add_peers(line, slot);
  line.field("pid", slot.pid).field_seconds("age_seconds", now_ns - slot.started_ns);
  add_outcome(line, outcome, ended);
  if (ended.closed_by == ClosedBy::client) line.field("closed_by", "client");
  if (ended.closed_by == ClosedBy::handler) line.field("closed_by", "handler");
  if (ended.bytes) {
    line.field("bytes_in", static_cast<std::int64_t>(ended.bytes->in));
    line.field("bytes_out", static_cast<std::int64_t>(ended.bytes->out));
  }
  line.write();
}

void log_connection_overdue(const log::Place& listener, std::uint64_t id, const Slot& slot, int signal,
                            std::int64_t now_ns) noexcept {
  char hex[17];
  const bool killed = signal == SIGKILL;
  log::Line line(killed ? log::Level::warning : log::Level::info, listener);
  line.text("connection ").text(hex_text(id, hex));
  line.text(killed ? " did not end within its shutdown time: sending " : overdue_text(slot.cause));
  line.text(sys::signal_name(signal));
  add_connection(line, hex, ConnectionEvent::overdue);
  add_peers(line, slot);
  line.field("pid", slot.pid).field_seconds("age_seconds", now_ns - slot.started_ns);
  line.field("reason", overdue_reason(slot.cause)).write();
}

}  // namespace bulkhead::ipc
