// The kernel's view of a connection's socket, asked by its addresses over NETLINK_SOCK_DIAG (sock_diag(7)), without a
// descriptor of it: so the connection of another process, an adopted one too, can be looked at, and its process's
// close still reaches the client at once. Needs no privilege; about 4 microseconds. TCP only.
#pragma once

#include <cstdint>

#include "worker/ipc/connection_log.h"
#include "worker/ipc/slot.h"
#include "worker/sys/fd.h"

namespace bulkhead::ipc {

struct TcpLook {
  enum class State : std::uint8_t {
    unknown,        // not TCP, or the system does not answer
    open,           // neither side has closed
    client_closed,  // the client closed its side first
    we_closed,      // its process closed first
    gone            // the connection exists no more: it was reset, or both sides have closed and the client was first
  };
  State state = State::unknown;
  // Where the state is `open` or `client_closed`, and the socket has not been closed here.
  std::int64_t idle_ns = 0;    // since a byte went to or came from the client
  std::uint64_t received = 0;  // bytes of the client, a PROXY header among them
  std::uint64_t sent = 0;      // bytes that the client has acknowledged

  [[nodiscard]] bool has_figures() const noexcept { return state == State::open || state == State::client_closed; }
};

// Who closed first, of a connection whose process has ended; `gone`: the answer where there is no socket to ask.
[[nodiscard]] constexpr ClosedBy closed_by(TcpLook::State state, ClosedBy gone) noexcept {
  switch (state) {
    case TcpLook::State::client_closed: return ClosedBy::client;
    case TcpLook::State::we_closed: return ClosedBy::handler;
    case TcpLook::State::open: return ClosedBy::unknown;  // a process that it has left behind has it
    default: return gone;
  }
}

class TcpDiag {
 public:
  // Opens its descriptor. Without one, every look is `unknown`.
  TcpDiag() noexcept;
  // At the connection of a slot, whose `cookie` has to be known. Never blocks. Nothing in `slot` is believed.
  [[nodiscard]] TcpLook look(const Slot& slot) noexcept;

 private:
  sys::Fd socket_;
  std::uint32_t sequence_ = 0;
};

// SO_COOKIE of a TCP connection; 0: it is none.
[[nodiscard]] std::uint64_t tcp_cookie(int connection) noexcept;
// The index of the interface that a socket is bound to; 0: none.
[[nodiscard]] std::uint32_t device_of(int connection) noexcept;

}  // namespace bulkhead::ipc
