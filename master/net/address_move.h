// Moves a port between addresses of which the kernel lets only one listen at a time: 127.0.0.1:80, 0.0.0.0:80, [::]:80,
// [::]:80 with ipv6only, one device and all. The new socket is bound beside the existing ones, which continue to get
// every connection; later it begins to listen, and from then on gets all of them. At no moment does nobody listen, and
// the queues of the existing sockets stay.
//
// SO_REUSEPORT makes that possible. The kernel asks for it on every socket of the port and for the same owner, so it is
// set only during bind(2) and listen(2), and the sockets have an owner meanwhile that no process has. Without that, any
// process of the same user could take the port: the kernel remembers the owner for as long as the port is bound. To
// change the owner needs CAP_CHOWN; without it, other sockets of the user are looked for before.
#pragma once

#include <span>

#include "master/config/config.h"

namespace bulkhead::net {

// 0 or an errno; EADDRINUSE if a socket other than those `in_the_way` has the port.
[[nodiscard]] int bind_beside(int socket, const config::ListenAddress& address, std::span<const int> in_the_way);

// Makes a socket listen that bind_beside() has bound. Those `in_the_way` get no new connection from then on and may
// be closed as soon as their queues are empty; those that are `leaving` refuse connections already. 0 or an errno,
// after which all are as before.
[[nodiscard]] int listen_in_place_of(int socket, int backlog, std::span<const int> in_the_way,
                                     std::span<const int> leaving);

}  // namespace bulkhead::net
