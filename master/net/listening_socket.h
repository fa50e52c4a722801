// Creates, describes and closes the sockets of a listener. The master creates them once and keeps them across restarts
// of the workers that share them, so connections in the kernel's queue are never lost.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "master/config/config.h"
#include "master/net/handover.h"
#include "master/net/inherited_sockets.h"
#include "master/net/socket_file.h"
#include "worker/ipc/peer.h"
#include "worker/sys/fd.h"
#include "worker/sys/result.h"

namespace bulkhead::net {

struct ListeningSocket {
  std::uint16_t number = 0;       // unique among all sockets that its listener ever had
  config::ListenAddress address;  // the entry of `listen` that it belongs to
  sys::Fd fd;
  ipc::Peer local;        // the address that it is bound to, with the port that the kernel chose
  bool wildcard = false;  // bound to all addresses
  std::string path;       // path of a Unix socket: "/run/x.sock", "@name"
  std::string text;       // "127.0.0.1:4040", "[::1]:4040", "unix:/run/x.sock": for logs, `tree`, --ready-fd
  // The socket file that the daemon created. It is declared after `fd`, so that it is removed before `fd` is closed.
  // All users of the same socket share it.
  std::shared_ptr<SocketFile> file = std::make_shared<SocketFile>();
  bool any_port = false;              // the kernel chose the port
  std::shared_ptr<const void> lease;  // proof of use of an inherited socket
  bool waiting = false;               // it was lost and could not be repaired yet (socket_repair.h)
  bool reserved = false;              // bound, but it does not listen until listen_in_place_of()
  bool gave_way = false;              // to such a one: it gets no new connection any more
};

// The address of the configuration with the port that the kernel chose, if it chose one.
[[nodiscard]] config::ListenAddress bound_address(const ListeningSocket& socket);

// Binds and listens, or takes inherited sockets ("systemd:NAME" may stand for several). The sockets are close-on-exec
// and nonblocking and have all options set. EADDRINUSE is returned immediately; the caller decides whether to wait. A
// stale socket file is replaced, one in use never. Errors without an errno name in words what the configuration asks
// for and the system does not have. `remarks` says which options the system changed. With sockets `in_the_way`, which
// collide with the address and are about to be given up, the new one is bound beside them and `reserved`.
[[nodiscard]] sys::Result<std::vector<ListeningSocket>> open_listening_sockets(const config::ListenAddress& address,
                                                                               const config::SocketOptions& options,
                                                                               InheritedSockets& inherited,
                                                                               std::vector<std::string>& remarks,
                                                                               std::span<const int> in_the_way = {});

// A socket that another program has opened, unchanged and without its lease.
[[nodiscard]] ListeningSocket resume_listening_socket(const SocketHandover& from, const config::ListenAddress& address);

// Sets the options of another configuration on a socket in use, and the mode and owner of its file.
[[nodiscard]] std::optional<sys::Error> set_options(ListeningSocket& socket, const config::SocketOptions& options,
                                                    std::vector<std::string>& remarks);

// Another handle of the same socket, for a listener that takes it over. The handles share one queue, one set of options
// and one file, which is removed with the last handle.
[[nodiscard]] sys::Result<ListeningSocket> share(const ListeningSocket& socket);
[[nodiscard]] inline bool is_shared(const ListeningSocket& socket) noexcept {
  return socket.file.use_count() > 1;
}

// The explanation beyond the errno: "; held by nginx (pid 812)". May read all of /proc: only for error messages at
// start.
[[nodiscard]] std::string why_not_opened(const config::ListenAddress& address, int error);

// From now on no new connection begins, while handshakes in progress still complete, so that late clients see "refused"
// and not "reset". TCP: IP_MINTTL and IPV6_MINHOPCOUNT 255 (ip(7), RFC 5082), which no client's packet has that did not
// set it itself; they need no privilege, do not touch handshakes in progress, and are inherited by accepted sockets,
// where the worker clears them (sys/hops.h). Unix paths: the path is
// removed. Abstract names: shutdown(SHUT_RD), after which connect(2) refuses and accept(2) still empties the queue;
// this is final and affects all users of the socket, so only end_for_all() does it too. Inherited and shared sockets
// stay open for their other users. Returns an errno if the system does not allow it; late clients may then be reset.
[[nodiscard]] int refuse_new_connections(ListeningSocket& socket) noexcept;
// Takes that back. False: it cannot be, and clients need another socket, because the path is gone.
[[nodiscard]] bool welcome_new_connections(ListeningSocket& socket) noexcept;

// It no longer listens, for no process that has it, and its address can be bound again. Inherited and shared sockets
// stay.
void end_for_all(const ListeningSocket& socket) noexcept;

}  // namespace bulkhead::net
