// Listening sockets that stop working while the daemon serves. Every process that has one can shut it down for all
// (shutdown(2)), a worker or what a module has left behind; and the file of a Unix socket can be deleted or replaced.
#pragma once

#include <cstdint>
#include <optional>

#include "master/config/config.h"
#include "master/net/inherited_sockets.h"
#include "master/net/listening_socket.h"
#include "worker/sys/result.h"

namespace bulkhead::net {

enum class Fault : std::uint8_t {
  none,
  shut_down,   // it does not listen, or no longer at its address
  unreachable  // its file is gone, or another one is there
};

// A few system calls, none of which blocks.
[[nodiscard]] Fault fault_of(const ListeningSocket& socket) noexcept;

// Makes a socket that has a fault listen again at the same address, with its number. TCP: the same socket, which has
// kept its port if that was a fixed one, and gets it back otherwise; else a new one. Unix paths and abstract names: a
// new socket, because the kernel revives none; the old one may still have connections in its queue, which are for the
// processes that have it. An error, after which it can be tried again:
//   EADDRINUSE  somebody else listens there, which is left alone. Somebody still has the old socket of an abstract
//               name: `socket` has become one without a name, so that it is not the daemon that holds the name.
//   no errno    an inherited Unix socket, which only the process that passed it can replace
[[nodiscard]] std::optional<sys::Error> repair(ListeningSocket& socket, const config::SocketOptions& options,
                                               InheritedSockets& inherited);

}  // namespace bulkhead::net
