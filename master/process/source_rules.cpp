#include "master/process/source_rules.h"

#include <sys/socket.h>

#include <algorithm>

namespace bulkhead::process {

admission::Rate rate_of(const config::Rate& rate) {
  return {rate.count, rate.per.count()};
}

admission::SourceRules source_rules(const config::Listener& listener) {
  admission::SourceRules out;
  out.max_connections = listener.max_connections_per_source.value_or(admission::kUnlimited);
  out.prefix4 = listener.source_prefix.v4;
  out.prefix6 = listener.source_prefix.v6;
  out.rate = rate_of(listener.max_rate_per_source);
  const config::Penalties& from = listener.penalties;
  admission::PenaltyRules& to = out.penalties;
  to.mode = static_cast<admission::PenaltyMode>(from.mode);
  to.overflow = static_cast<admission::Overflow>(from.overflow);
  to.max_sources4 = from.max_sources4;
  to.max_sources6 = from.max_sources6;
  to.crash_ns = from.crash.count();
  to.timeout_ns = from.timeout.count();
  to.no_input_ns = from.no_input.count();
  to.min_ns = from.min.count();
  to.max_ns = from.max.count();
  for (const auto& [status, duration] : from.exit) to.exit_ns[status] = duration.count();
  return out;
}

ipc::SourceKey source_key(const config::Network& network) {
  ipc::SourceKey key;
  key.family = network.v6 ? AF_INET6 : AF_INET;
  key.bits = static_cast<std::uint16_t>(network.length);
  const auto put = [&key](std::size_t at, std::uint64_t value, std::size_t bytes) {
    for (std::size_t i = 0; i < bytes; ++i) {
      key.address[at + i] = static_cast<std::uint8_t>(value >> (8 * (bytes - 1 - i)));
    }
  };
  if (network.v6) {
    put(0, network.high, 8);
    put(8, network.low, 8);
  } else {
    put(0, network.low, 4);
  }
  return key;
}

bool exempt(const config::Penalties& penalties, const ipc::Peer& peer) {
  const ipc::SourceKey source = ipc::source_of(peer, 32, 128);
  return std::any_of(penalties.exempt.begin(), penalties.exempt.end(),
                     [&source](const config::Network& network) { return ipc::within(source, source_key(network)); });
}

}  // namespace bulkhead::process
