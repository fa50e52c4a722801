// The socket options of the configuration, set once on the listening socket. Accepted sockets inherit all of them
// (tcp(7), socket(7)), so that a connection costs no further system call.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "master/config/config.h"
#include "worker/sys/result.h"

namespace bulkhead::net {

// The options that decide how an IP address is bound: SO_REUSEADDR, IPV6_V6ONLY, IP_FREEBIND, SO_BINDTODEVICE. Call it
// before bind(2).
[[nodiscard]] std::optional<sys::Error> set_bind_options(int fd, const config::ListenAddress& address, bool freebind);

// Sets buffers, TCP_NODELAY, SO_KEEPALIVE and TCP_USER_TIMEOUT. Only for TCP, because an accepted Unix socket inherits
// nothing. Call it before listen(2), because a buffer decides the window scale that the handshake offers; for an
// inherited socket it may be too late for that. `remarks` says what the system lowered.
[[nodiscard]] std::optional<sys::Error> set_connection_options(int fd, const std::string& subject,
                                                               const config::SocketOptions& options,
                                                               std::vector<std::string>& remarks);

// Why fewer connections than configured will be queued, or empty (listen(2), net.core.somaxconn).
[[nodiscard]] std::string backlog_remark(const config::SocketOptions& options);

}  // namespace bulkhead::net
