// The kernel's last words on TCP sockets: it notifies of each one that it frees, with its counters, over
// NETLINK_SOCK_DIAG. Needs no privilege. All sockets of the network namespace are notified of, so a filter in the
// kernel lets only those through that have one of a listener's ports.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "worker/ipc/connection_log.h"
#include "worker/sys/fd.h"

namespace bulkhead::ipc {

struct TcpEnd {
  std::uint64_t cookie = 0;    // SO_COOKIE
  std::uint64_t received = 0;  // in order, and 1 for the client's FIN if it has come
  std::uint64_t unread = 0;    // of `received`; a FIN that nobody has read counts too
  std::uint64_t acked = 0;     // by the client, and 1 for our FIN
  std::uint64_t sent = 0;      // each byte once; FINs do not count
};

// The bytes of the client and of the handler, without FINs. `we_closed`: the handler closed the connection first.
// `header`: the bytes of a PROXY header, which the worker has read. A byte that was not acknowledged does not count.
//
// Exact, except that in two cases nothing tells the client's FIN from a byte, and it counts as one: the connection was
// reset after the client had closed its side; or the handler shut down its side first, and read to the client's FIN.
[[nodiscard]] Bytes bytes_of(const TcpEnd& end, bool we_closed, std::uint32_t header) noexcept;

class TcpEnds {
 public:
  // Opens its descriptor. Without one, or without the filter, there is nothing to read.
  explicit TcpEnds(std::span<const std::uint16_t> ports) noexcept;
  // The next end, if there is one. Never blocks. Some are lost if they are not read for long.
  [[nodiscard]] std::optional<TcpEnd> next() noexcept;
  [[nodiscard]] int fd() const noexcept { return socket_.get(); }
  [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(socket_); }

 private:
  sys::Fd socket_;
};

}  // namespace bulkhead::ipc
