// Finds the process that has an address that could not be bound, for an error message at start. It reads /proc, which
// can take a while.
#pragma once

#include <sys/types.h>

#include <optional>
#include <set>
#include <span>
#include <string>

#include "master/config/config.h"

namespace bulkhead::net {

// "nginx (pid 812)", or "another process" if the kernel does not let this process see which one.
[[nodiscard]] std::string holder_of(const config::ListenAddress& address);

// A socket that listens where `address` could not be bound, as far as /proc/net tells: it shows neither the device of a
// socket nor whether an IPv6 socket has both families.
struct Found {
  unsigned long inode = 0;
  bool certain = true;
  std::string holder;  // as holder_of()
};
// Those whose inodes are in `ours` do not count. Connects to nothing. Port 0 and inherited sockets are never in the
// way.
[[nodiscard]] std::optional<Found> listening_at(const config::ListenAddress& address,
                                                const std::set<unsigned long>& ours);
// The sockets that a process has; nothing: it has ended, or may not be looked at.
[[nodiscard]] std::optional<std::set<unsigned long>> sockets_of(pid_t process);

// Whether a socket other than `ours` listens where the kernel would let only one of two listen, by this user. For IP
// addresses; reads the table of listening sockets.
[[nodiscard]] bool is_held_by_others(const config::ListenAddress& address, std::span<const int> ours);

}  // namespace bulkhead::net
