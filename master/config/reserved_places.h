// How many of daemon.max_connections only reserved listeners may use.
#pragma once

#include <cstdint>

#include "master/config/config.h"

namespace bulkhead::config {

// A listener with "reserved": true is in the tree at or below `node`.
[[nodiscard]] bool has_reserved_listener(const Node& node);

// Below max_connections; 0 where that is not set, or nobody could use them.
[[nodiscard]] std::uint32_t reserved_places(const Config& config);

}  // namespace bulkhead::config
