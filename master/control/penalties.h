// `penalties` and `penalties clear`: lists the penalised sources, and forgives penalties.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "master/net/listener.h"
#include "master/running/workforce.h"
#include "worker/ipc/source_key.h"

namespace bulkhead::control {

using Listeners = std::map<std::string, std::unique_ptr<net::Listener>>;

inline constexpr std::size_t kMostPenalties = 10'000;

// At most kMostPenalties, those with the longest remaining time first.
[[nodiscard]] nlohmann::ordered_json penalties_json(const Listeners& listeners);

// "192.0.2.0/24", "2001:db8::/64", an address, "unix:uid=1000".
[[nodiscard]] std::optional<ipc::SourceKey> prefix_of(std::string_view text);

// Has one worker of each listener forget the penalties within `prefix`, and answers how many there were. A listener
// without a ready worker does it with the next one; what it has is counted now.
void forgive(running::Workforce& workforce, const Listeners& listeners, const ipc::SourceKey& prefix,
             std::function<void(std::uint64_t count)> done);

}  // namespace bulkhead::control
