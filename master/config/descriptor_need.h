// How many descriptors (RLIMIT_NOFILE in getrlimit(2)) a configuration needs. A connection needs none in the master or
// a worker, because it is a process.
#pragma once

#include <cstdint>

#include "master/config/config.h"

namespace bulkhead::config {

// There may be as many PROXY headers in progress as connections, over all workers, and each has a descriptor in its
// worker. header_share() is how many there may be in one worker, header_room() how many fit under a limit.
[[nodiscard]] std::uint32_t header_share(const Listener& listener);
[[nodiscard]] std::uint32_t header_room(const Listener& listener, std::uint64_t limit);
// The descriptors that one worker needs, with room for all PROXY headers if the listener reads any.
[[nodiscard]] std::uint64_t worker_need(const Listener& listener);

// The least that the master needs for this node and all nodes below it.
struct MasterNeed {
  std::uint64_t descriptors = 0;
  std::uint64_t listeners = 0;
  std::uint64_t addresses = 0;
  std::uint64_t workers = 0;
  std::uint64_t processes = 0;
};
[[nodiscard]] MasterNeed master_need(const Node& node);

}  // namespace bulkhead::config
