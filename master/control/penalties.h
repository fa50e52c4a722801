// `penalties` and `penalties clear`: lists the penalised sources, and forgives penalties.
#pragma once

#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "master/net/listener.h"
#include "worker/ipc/source_key.h"

namespace bulkhead::control {

using Listeners = std::map<std::string, std::unique_ptr<net::Listener>>;

inline constexpr std::size_t kMostPenalties = 10'000;

// At most kMostPenalties, those with the longest remaining time first.
[[nodiscard]] nlohmann::ordered_json penalties_json(const Listeners& listeners);

// "192.0.2.0/24", "2001:db8::/64", an address, "unix:uid=1000".
[[nodiscard]] std::optional<ipc::SourceKey> prefix_of(std::string_view text);

struct Forgiven {
  std::uint64_t count = 0;
  bool busy = false;  // the lock of some table was busy at every attempt: that table is missing
};
[[nodiscard]] Forgiven forgive(const Listeners& listeners, const ipc::SourceKey& prefix);

}  // namespace bulkhead::control
