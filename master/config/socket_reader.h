// The keys of a listener that are about its sockets.
#pragma once

#include "master/config/section.h"

namespace bulkhead::config {

// Setters. `listen` also reads `ipv6only` and `device`, which decide what can be bound side by side.
void set_listen(Context& context, Node& node, const Entry& entry);
void set_socket_mode(Context& context, Node& node, const Entry& entry);
void set_keepalive(Context& context, Node& node, const Entry& entry);
void set_device(Context& context, Node& node, const Entry& entry);

// `rcvbuf`, `sndbuf`.
[[nodiscard]] std::optional<std::uint32_t> as_buffer(const Entry& entry);

// Who the file of a Unix socket belongs to: `owner`, and `group`, which is also that of the workers; without `group`,
// the primary group of `owner`. Without root nobody can give a file away, so then both stay what the daemon is.
void read_socket_owner(Context& context, const Section& section, SocketOptions& options);

}  // namespace bulkhead::config
