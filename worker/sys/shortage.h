// Which errors of system calls mean that the system has run out of something, for now: the host's trouble and nobody's
// fault.
#pragma once

#include <cerrno>

namespace bulkhead::sys {

// EAGAIN is one only where it cannot mean "try later": from fork(2), execve(2) and setuid(2), not from a nonblocking
// descriptor.
[[nodiscard]] constexpr bool is_shortage(int error) noexcept {
  switch (error) {
    case EAGAIN:  // processes
    case ENOMEM:
    case ENOBUFS:
    case EMFILE:
    case ENFILE:
    case ENOSPC: return true;  // watches of epoll(7), memory of a memfd
    default: return false;
  }
}

}  // namespace bulkhead::sys
