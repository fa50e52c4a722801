#include "master/config/reserved_places.h"

#include <algorithm>

namespace bulkhead::config {

namespace {

constexpr std::uint32_t kShare = 10;  // one place in so many
constexpr std::uint32_t kMost = 16;

}  // namespace

bool has_reserved_listener(const Node& node) {
  return (node.listener && node.listener->reserved) || std::ranges::any_of(node.children, has_reserved_listener);
}

std::uint32_t reserved_places(const Config& config) {
  if (!config.max_connections || !has_reserved_listener(config.root)) return 0;
  const std::uint32_t total = *config.max_connections;
  const std::uint32_t wanted = config.reserved_connections.value_or(std::min((total + kShare - 1) / kShare, kMost));
  return std::min(wanted, total - 1);
}

}  // namespace bulkhead::config
