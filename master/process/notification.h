// One sd_notify(3) message as a value: lines of NAME=value. The daemon acts on a few and ignores the others, including
// MAINPID (a process child is the process that the master forked). Pure.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace bulkhead::process {

struct Notification {
  bool ready = false;                                       // READY=1
  bool stopping = false;                                    // STOPPING=1
  bool watchdog = false;                                    // WATCHDOG=1
  std::optional<std::string> status;                        // STATUS=…; printable ASCII, at most kMaxStatus bytes
  std::optional<std::chrono::microseconds> extend_timeout;  // EXTEND_TIMEOUT_USEC=…; from now on, at most an hour
};

inline constexpr std::size_t kMaxStatus = 256;
inline constexpr std::size_t kMaxNotification = 4096;  // bytes of a message, as systemd has it

// If a variable comes twice, the first counts. A NUL may end the message; elsewhere it makes the whole message invalid.
// Unprintable bytes of a status become '?'.
[[nodiscard]] Notification parse_notification(std::string_view message);

}  // namespace bulkhead::process
