// The log lines about a connection, the same from both writers: its worker, or the master for an adopted connection.
//
// Each line that belongs to a connection has the fields `connection`, its id in hex, and `event`, one of the words
// below, so that a reader of the log selects by id and gets all of it. Ages are `age_seconds`, as in the answer of
// `bulkheadctl --json connections`. A connection that is refused has no id yet: its line has `event` and `peer`.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "worker/ipc/exit_statuses.h"
#include "worker/ipc/slot.h"
#include "worker/log/log.h"
#include "worker/sys/enum_words.h"

namespace bulkhead::ipc {

// Which side of a connection closed it first, as far as that is known.
enum class ClosedBy : std::uint8_t { unknown, client, handler };

// What a client sent, without a PROXY header, and what it has acknowledged.
struct Bytes {
  std::uint64_t in = 0;
  std::uint64_t out = 0;
};

// How a connection's process ended, from its wait status (wait(2)); `known` false: the status was lost.
struct Ended {
  bool known = true;
  int wait_status = 0;
  bool asked = false;  // an operator, or our own stop, had signalled it
  EndCause cause = EndCause::none;
  bool built_in = false;                   // the exit status is an ExitCode
  ExitStatuses normal;                     // of any other handler: the statuses that are not a crash
  ClosedBy closed_by = ClosedBy::unknown;  // a reset is a close
  std::optional<Bytes> bytes = {};         // if they are counted and known
};

// The end of the connection in this slot, without `closed_by`. No wait status: it was lost.
[[nodiscard]] Ended ended_of(const Slot& slot, std::optional<int> wait_status, const ExitStatuses& normal) noexcept;

// The meaning of an end, for counts, logs and penalties.
enum class Outcome {
  normal,
  no_input,            // normal, but the client has not sent a byte
  idle_timeout,        // neither side sent anything for idle_timeout: neither a crash nor the client's own end
  first_byte_timeout,  // its client sent nothing for first_byte_timeout
  max_lifetime,        // we ended it: its time was over
  dropped,             // we ended it to make room (on_full)
  asked,               // we ended it, for another reason
  unknown,
  client_gone,  // the client left first: SIGPIPE, or an error as the exit status; or we ended it for that
                // (on_client_gone)
  crash         // any other exit status, any other signal
};
[[nodiscard]] Outcome outcome_of(const Ended& ended) noexcept;
[[nodiscard]] bool is_crash(const Ended& ended) noexcept;
[[nodiscard]] EndCount count_of(const Ended& ended) noexcept;
// Its exit status is an error, but is none if the client had left: only then is it worth to find out.
[[nodiscard]] bool may_be_client_gone(const Ended& ended) noexcept;
// Crashes are always logged; other ends as `log.connections` wants it.
[[nodiscard]] bool is_logged(const Ended& ended, bool log_ends) noexcept;

enum class ConnectionEvent {
  started,
  ended,
  crashed,
  client_gone,
  overdue,  // its max_lifetime or another limit is over, and it gets a signal
  refused,
  would_be_refused,   // penalties.mode is log: it was admitted
  handler_output,     // a line of a program's standard error, or one that a module logs; or how many were suppressed
  handler_exception,  // a module's serve() threw it; the crash follows
  count_
};
inline constexpr sys::EnumWords<ConnectionEvent> kConnectionEventWords{
    "connection_started",          "connection_ended",   "connection_crashed",
    "connection_client_gone",      "connection_overdue", "connection_refused",
    "connection_would_be_refused", "handler_output",     "handler_exception"};
// Adds the two fields. `connection` is an id's hex_text().
void add_connection(log::Line& line, std::string_view connection, ConnectionEvent event) noexcept;
void add_event(log::Line& line, ConnectionEvent event) noexcept;  // for a connection without an id
// The address of a client or a balancer, as much of it as the log shows: all of it, with the port; its network, /24 or
// /64, and of a Unix socket's peer its user; or no field at all.
void add_peer(log::Line& line, std::string_view name, const Peer& peer) noexcept;

void log_connection_started(const log::Place& listener, std::uint64_t id, const Slot& slot) noexcept;
void log_connection_ended(const log::Place& listener, std::uint64_t id, const Slot& slot, const Ended& ended,
                          std::int64_t now_ns) noexcept;

// It is ended, for the reason in the slot, or has not ended in the time after that: `signal` is sent to its group.
void log_connection_overdue(const log::Place& listener, std::uint64_t id, const Slot& slot, int signal,
                            std::int64_t now_ns) noexcept;

// Lower-case hex without leading zeros into `out` of at least 17 bytes, NUL-terminated; returns the text.
[[nodiscard]] std::string_view hex_text(std::uint64_t value, char* out) noexcept;

}  // namespace bulkhead::ipc
