// Finds the process that has an address that could not be bound, for an error message at start. It reads /proc, which
// can take a while.
#pragma once

#include <span>
#include <string>

#include "master/config/config.h"

namespace bulkhead::net {

// "nginx (pid 812)", or "another process" if the kernel does not let this process see which one.
[[nodiscard]] std::string holder_of(const config::ListenAddress& address);

// Whether a socket other than `ours` listens where the kernel would let only one of two listen, by this user. For IP
// addresses; reads the table of listening sockets.
[[nodiscard]] bool is_held_by_others(const config::ListenAddress& address, std::span<const int> ours);

}  // namespace bulkhead::net
