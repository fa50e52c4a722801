// Judges the errno of accept4(2). On Linux, errors that belong to one client's connection are reported by accept as if
// they were its own (accept(2), "Error handling"); treating them as the listener's would be an outage.
#pragma once

#include <cstdint>

namespace bulkhead::admission {

enum class AcceptVerdict : std::uint8_t {
  empty,  // no connection is waiting
  retry,  // an error of one client's connection: try the next
  pause,  // the system has run out of something: stop for a while
  dead,   // some process may have shut the socket down (shutdown(2)): the caller looks
  broken  // a bug: this worker cannot continue
};

[[nodiscard]] AcceptVerdict judge_accept_error(int error) noexcept;

}  // namespace bulkhead::admission
