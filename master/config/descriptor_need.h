// How many descriptors (RLIMIT_NOFILE in getrlimit(2)) a configuration takes. Connections take none: each is a process.
#pragma once

#include <cstdint>

#include "master/config/config.h"

namespace bulkhead::config {

// PROXY headers in progress, over all workers, are as many as connections, and each has a descriptor in its worker:
// this is how many there may be in one worker, and for how many there is room under a limit.
[[nodiscard]] std::uint32_t header_share(const Listener& listener);
[[nodiscard]] std::uint32_t header_room(const Listener& listener, std::uint64_t limit);
// With room for all of them, where there are any.
[[nodiscard]] std::uint64_t worker_need(const Listener& listener);

// What the master needs at least for this node and all below it.
struct MasterNeed {
  std::uint64_t descriptors = 0;
  std::uint64_t listeners = 0;
  std::uint64_t addresses = 0;
  std::uint64_t workers = 0;
  std::uint64_t processes = 0;
};
[[nodiscard]] MasterNeed master_need(const Node& node);

}  // namespace bulkhead::config
