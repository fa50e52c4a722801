// The way from a handler program's descriptor 2 to the log: a pair of datagram sockets (unix(7)), one for each worker
// index of a listener. The master holds both ends for as long as the listener exists, and each worker of that index
// inherits both: it reads one, its programs write to the other. So a program that outlives its worker continues to
// write to the next one, or to the master while none runs; a pipe would kill it by SIGPIPE.
//
// Each write(2) of a program arrives whole, with its sender's pid, which the kernel vouches for (SO_PASSCRED). One of
// more than kMaxErrorWrite bytes fails there with EMSGSIZE. A program waits while no process reads, but never longer
// than kErrorPatience, then its write fails with EAGAIN; and once both master and worker are gone, with ECONNREFUSED.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <string_view>

#include "worker/sys/fd.h"
#include "worker/sys/result.h"

namespace bulkhead::ipc {

inline constexpr std::size_t kMaxErrorWrite = 256U << 10U;
inline constexpr std::chrono::seconds kErrorPatience{1};

struct ErrorPair {
  sys::Fd read;
  sys::Fd write;
};
[[nodiscard]] sys::Result<ErrorPair> make_error_pair();

struct ErrorWrite {
  std::string_view bytes;  // in the caller's buffer
  pid_t sender = 0;        // 0: the kernel cannot name it
};
// Reads the next write into `buffer` of kMaxErrorWrite bytes. False: nothing to read. Never blocks, never allocates.
[[nodiscard]] bool receive_error(int read_end, char* buffer, ErrorWrite& out) noexcept;

}  // namespace bulkhead::ipc
