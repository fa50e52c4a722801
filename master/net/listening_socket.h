// Making, describing and closing down the sockets that a listener listens on. The master makes them, once, and keeps
// them over every restart of the workers that share them: what the kernel has queued is never lost.
#pragma once

#include <memory>
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
  std::uint16_t number = 0;       // unique among those that its listener ever had
  config::ListenAddress address;  // the entry of `listen` that it comes from
  sys::Fd fd;
  ipc::Peer local;        // what it is bound to, the port that the kernel chose included
  bool wildcard = false;  // bound to any address
  std::string path;       // of a Unix socket: "/run/x.sock", "@name"
  std::string text;       // "127.0.0.1:4040", "[::1]:4040", "unix:/run/x.sock": for logs, `tree`, --ready-fd
  // The one that we made; after `fd`, so that it goes before. Shared by all who have the same socket.
  std::shared_ptr<SocketFile> file = std::make_shared<SocketFile>();
  std::shared_ptr<const void> lease;  // of an inherited one
};

// Binds and listens, or takes what was inherited ("systemd:NAME" may stand for several). Close-on-exec, nonblocking,
// with all options set. EADDRINUSE comes back at once: waiting is the caller's. A stale socket file is replaced, a live
// one never. Errors without an errno say in words what the configuration asks for and is not there. What the system
// made of an option is told in `remarks`.
[[nodiscard]] sys::Result<std::vector<ListeningSocket>> open_listening_sockets(const config::ListenAddress& address,
                                                                               const config::SocketOptions& options,
                                                                               InheritedSockets& inherited,
                                                                               std::vector<std::string>& remarks);

// One that another program has opened, as it is; without its lease.
[[nodiscard]] ListeningSocket resume_listening_socket(const SocketHandover& from, const config::ListenAddress& address);

// Gives a socket that is in use the options of another configuration, the mode and owner of its file too.
[[nodiscard]] std::optional<sys::Error> set_options(ListeningSocket& socket, const config::SocketOptions& options,
                                                    std::vector<std::string>& remarks);

// Another handle of the same socket, for a listener that takes it over: one queue, one set of options, one file, which
// goes with the last of them.
[[nodiscard]] sys::Result<ListeningSocket> share(const ListeningSocket& socket);
[[nodiscard]] inline bool is_shared(const ListeningSocket& socket) noexcept {
  return socket.file.use_count() > 1;
}

// Why, beyond its errno: "; held by nginx (pid 812)". May read all of /proc: for an error message at start.
[[nodiscard]] std::string why_not_opened(const config::ListenAddress& address, int error);

// From now on no new connection begins, while those whose handshake is under way still complete, so that late clients
// see "refused" and not "reset". TCP: a socket filter that drops pure SYNs (socket(7), SO_ATTACH_FILTER). Unix paths:
// the path goes. Abstract names: shutdown(SHUT_RD), after which connect(2) refuses and accept(2) still empties the
// queue; it is for good and for all who share the socket, so nobody else ever calls it. Inherited sockets stay open for
// whoever has them too, and so do shared ones. Returns an errno where the system allows no filter: late clients may be
// reset then.
[[nodiscard]] int refuse_newcomers(ListeningSocket& socket) noexcept;

}  // namespace bulkhead::net
