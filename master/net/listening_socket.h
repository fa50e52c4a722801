// Making, describing and closing down the sockets that a listener listens on. The master makes them, once, and keeps
// them over every restart of the workers that share them: what the kernel has queued is never lost. Nobody ever calls
// shutdown() on one: that would end it for all who share it (shutdown(2) acts on the socket, not on the descriptor).
#pragma once

#include <cstdint>
#include <string>

#include "master/config/config.h"
#include "worker/ipc/peer.h"
#include "worker/sys/fd.h"
#include "worker/sys/result.h"

namespace bulkhead::net {

struct ListeningSocket {
  config::ListenAddress address;
  sys::Fd fd;
  ipc::Peer local;           // what it is bound to, the port that the kernel chose included
  bool wildcard = false;     // bound to any address
  std::string text;          // "127.0.0.1:4040", "[::1]:4040", "unix:/run/x.sock": for logs, `tree`, --ready-fd
  std::uint64_t device = 0;  // of a Unix socket's file, so that we unlink no other than ours
  std::uint64_t inode = 0;
};

// Binds and listens; close-on-exec, nonblocking, NODELAY and KEEPALIVE set once and inherited by what is accepted
// (tcp(7)). EADDRINUSE comes back at once: waiting is the caller's. A stale socket file is replaced, a live one never.
[[nodiscard]] sys::Result<ListeningSocket> open_listening_socket(const config::ListenAddress& address,
                                                                 std::uint32_t backlog);

// From now on no new connection begins, while those whose handshake is under way still complete (TCP: a socket filter
// that drops pure SYNs, socket(7) SO_ATTACH_FILTER, so that late clients see "refused" and not "reset"; Unix: the path
// goes).
void refuse_newcomers(ListeningSocket& socket) noexcept;

// Removes the file of a Unix socket if it is still ours.
void unlink_socket_file(const ListeningSocket& socket) noexcept;

// "held by nginx (pid 812)", or empty when it cannot be told. Reads /proc; for an error message at start.
[[nodiscard]] std::string holder_of(const config::ListenAddress& address);

}  // namespace bulkhead::net
