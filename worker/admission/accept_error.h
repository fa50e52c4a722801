// What an errno of accept4(2) means for the listener. On Linux, errors that belong to one client's connection are
// reported by accept as if they were its own (accept(2), "Error handling"); treating them as the listener's would be an
// outage.
#pragma once

#include <cstdint>

namespace bulkhead::admission {

enum class AcceptVerdict : std::uint8_t {
  empty,  // nobody is waiting
  retry,  // one client's trouble: try the next
  pause,  // the system has run out of something: stop for a while
  broken  // a bug or a lost socket: this worker cannot go on
};

[[nodiscard]] AcceptVerdict judge_accept_error(int error) noexcept;

// Errors of clone(2) and of the calls that prepare it that will pass by themselves.
[[nodiscard]] bool is_shortage(int error) noexcept;

}  // namespace bulkhead::admission
