// The `start` and `end` lines of a connection, the same whoever reaps it: the worker, or the master for an adopted one.
#pragma once

#include <cstdint>
#include <string_view>

#include "worker/ipc/table.h"

namespace bulkhead::ipc {

// How a connection's process ended, from wait status (wait(2)); `known` false: it was reaped by nobody who could tell.
struct Ended {
  bool known = true;
  int wait_status = 0;
  bool asked = false;  // we had signalled it
};

// A crash is any end but exit status 0, unless we asked for it or cannot know.
[[nodiscard]] bool is_crash(const Ended& ended) noexcept;

void log_connection_started(std::string_view listener, std::uint64_t id, const Slot& slot) noexcept;
void log_connection_ended(std::string_view listener, std::uint64_t id, const Slot& slot, const Ended& ended,
                          std::int64_t now_ns) noexcept;

// Lower-case hex without leading zeros into `out` of at least 17 bytes, NUL-terminated; returns the text.
[[nodiscard]] std::string_view hex_text(std::uint64_t value, char* out) noexcept;

}  // namespace bulkhead::ipc
