// The keys of a listener about its sockets.
#pragma once

#include "master/config/section.h"

namespace bulkhead::config {

// Setters. `listen` also reads `ipv6only` and `device`, which decide which addresses can be bound together.
void set_listen(Context& context, Node& node, const Entry& entry);
void set_socket_mode(Context& context, Node& node, const Entry& entry);
void set_keepalive(Context& context, Node& node, const Entry& entry);
void set_device(Context& context, Node& node, const Entry& entry);

// `rcvbuf`, `sndbuf`.
[[nodiscard]] std::optional<std::uint32_t> as_buffer(const Entry& entry);

// The owner of the file of a Unix socket: `owner`, and `group`, which is also the group of the workers; without
// `group`, the primary group of `owner`. Without root, no process can give a file away, so both stay those of the
// daemon.
void read_socket_owner(Context& context, const Section& section, SocketOptions& options);

}  // namespace bulkhead::config
