// A client's address as the pure rules take it, and networks as the plan has them.
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>

#include "worker/admission/prefix_map.h"
#include "worker/ipc/peer.h"
#include "worker/ipc/plan.h"

namespace bulkhead::worker {

[[nodiscard]] inline admission::PrefixMap map_of(const ipc::Plan& plan, const ipc::PlanPrefixes& prefixes) noexcept {
  return {plan.array<admission::Range>(prefixes.v4), plan.array<admission::Range>(prefixes.v6), prefixes.otherwise};
}

[[nodiscard]] inline bool has_address(const ipc::Peer& peer) noexcept {
  return peer.family == AF_INET || peer.family == AF_INET6;
}

[[nodiscard]] inline admission::Address address_of(const ipc::Peer& peer) noexcept {
  const auto big_endian = [](const std::uint8_t* bytes, std::size_t count) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < count; ++i) value = value << 8 | bytes[i];
    return value;
  };
  if (peer.family == AF_INET) return {false, 0, big_endian(peer.address, 4)};
  return {true, big_endian(peer.address, 8), big_endian(peer.address + 8, 8)};
}

}  // namespace bulkhead::worker
