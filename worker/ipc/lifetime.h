// How far a connection is with its max_lifetime, and what happens next. Pure: its worker and, for an adopted
// connection, the master take the same steps.
#pragma once

#include <csignal>
#include <cstdint>

namespace bulkhead::ipc {

enum class Lifetime : std::uint32_t { going_on, terminated, killed };

// Why a connection that is not going_on was ended.
enum class EndCause : std::uint16_t {
  none,
  max_lifetime,
  idle_timeout,
  first_byte_timeout,
  client_gone,
  dropped,
  count_
};

struct Overdue {
  Lifetime lifetime;
  std::int64_t deadline_ns;  // of the step after this one; 0: there is none
  int signal;                // for the connection's group
};

// The connection's deadline has passed: `stop_signal` first, SIGKILL after another `shutdown_ns`.
[[nodiscard]] constexpr Overdue next_overdue(Lifetime lifetime, std::int64_t now_ns, std::int64_t shutdown_ns,
                                             int stop_signal) noexcept {
  if (lifetime == Lifetime::going_on) return {Lifetime::terminated, now_ns + shutdown_ns, stop_signal};
  return {Lifetime::killed, 0, SIGKILL};
}

}  // namespace bulkhead::ipc
