// Why a worker does not accept for a while: one row for each reason, with its words in the log, what ends the pause,
// and what becomes of a client that was accepted already. The events' word is ipc::kPauseWords.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "worker/ipc/message.h"
#include "worker/ipc/slot.h"
#include "worker/reception.h"

namespace bulkhead::worker {

// The event that ends a pause.
enum class PauseEnd : std::uint8_t {
  bell,     // a freed slot, or the master's answer, rings the bell; and a timer, in case who would ring it has died
  window,   // a timer: when max_connection_rate has room again
  backoff,  // a timer that grows from one failure to the next
  header,   // a PROXY header that arrives, or whose time is over
  socket    // another listening socket, from the master; meanwhile the other sockets are accepted from
};
// The number in its words.
enum class PauseCount : std::uint8_t { none, max_connections, header_room, total };

struct PauseRow {
  ipc::PauseReason reason;
  Received received;     // the outcome of an admission that leads to it; `done`: none does
  ipc::Refusal refusal;  // for clients that waited too long for its end; `count_`: none wait
  PauseEnd end;
  std::string_view before;  // in the log: the words, with the number between them; empty: too short to be logged
  PauseCount count;
  std::string_view after;
};

inline constexpr std::array kPauses{
    PauseRow{ipc::PauseReason::full, Received::full, ipc::Refusal::max_connections, PauseEnd::bell, "max_connections ",
             PauseCount::max_connections, " reached"},
    PauseRow{ipc::PauseReason::accept_error, Received::done, ipc::Refusal::count_, PauseEnd::backoff, "cannot accept",
             PauseCount::none, ""},
    PauseRow{ipc::PauseReason::fork_error, Received::shortage, ipc::Refusal::handler_start, PauseEnd::backoff,
             "cannot start a process for a connection", PauseCount::none, ""},
    PauseRow{ipc::PauseReason::rate, Received::rate, ipc::Refusal::rate, PauseEnd::window,
             "max_connection_rate reached", PauseCount::none, ""},
    PauseRow{ipc::PauseReason::headers, Received::done, ipc::Refusal::count_, PauseEnd::header,
             "no room for more than ", PauseCount::header_room, " PROXY headers in progress"},
    PauseRow{ipc::PauseReason::socket, Received::done, ipc::Refusal::count_, PauseEnd::socket,
             "a listening socket was shut down", PauseCount::none, ""},
    PauseRow{ipc::PauseReason::total, Received::total, ipc::Refusal::daemon_max, PauseEnd::bell,
             "daemon.max_connections ", PauseCount::total, " reached"},
    PauseRow{ipc::PauseReason::places, Received::places, ipc::Refusal::daemon_max, PauseEnd::bell, "", PauseCount::none,
             ""},
};
static_assert(kPauses.size() == static_cast<std::size_t>(ipc::PauseReason::count_));
static_assert(std::is_sorted(kPauses.begin(), kPauses.end(),
                             [](const PauseRow& a, const PauseRow& b) { return a.reason < b.reason; }));

[[nodiscard]] constexpr const PauseRow& pause_row(ipc::PauseReason reason) noexcept {
  return kPauses[static_cast<std::size_t>(reason)];
}
// The row of an outcome other than `done`.
[[nodiscard]] constexpr const PauseRow& pause_row(Received received) noexcept {
  return *std::find_if(kPauses.begin(), kPauses.end(),
                       [received](const PauseRow& row) { return row.received == received; });
}

}  // namespace bulkhead::worker
