// What the configuration says about sockets, set once on the listening one. Accepted ones inherit all of it from there
// (tcp(7), socket(7)), so that a connection costs no further system call.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "master/config/config.h"
#include "worker/sys/result.h"

namespace bulkhead::net {

// What decides how an IP address is bound: SO_REUSEADDR, IPV6_V6ONLY, IP_FREEBIND, SO_BINDTODEVICE. Before bind(2).
[[nodiscard]] std::optional<sys::Error> set_bind_options(int fd, const config::ListenAddress& address, bool freebind);

// Buffers, TCP_NODELAY, SO_KEEPALIVE, TCP_USER_TIMEOUT; of TCP, because an accepted Unix socket inherits nothing.
// Before listen(2), because a buffer decides the window scale that the handshake offers; on an inherited socket it may
// be too late for that. What the system lowered is told in `remarks`.
[[nodiscard]] std::optional<sys::Error> set_connection_options(int fd, const std::string& subject,
                                                               const config::SocketOptions& options,
                                                               std::vector<std::string>& remarks);

// Why fewer connections than were asked for will queue, or empty (listen(2), net.core.somaxconn).
[[nodiscard]] std::string backlog_remark(const config::SocketOptions& options);

}  // namespace bulkhead::net
