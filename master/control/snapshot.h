// The daemon's state as JSON, in the shapes that bulkheadctl(8) documents; its connections are in connection_list.h.
// Reads only. Numbers from a table are those that its workers wrote there, so they are shown and never acted on.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string_view>

#include "master/procedure/places.h"
#include "master/reload/differences.h"
#include "master/running/catalogue.h"
#include "master/running/children.h"
#include "master/running/engine.h"
#include "master/running/listeners.h"

namespace bulkhead::control {

struct World {
  const running::Engine& engine;
  const running::Catalogue& catalogue;
  const running::Listeners& listeners;
  const running::Children& children;
  std::optional<procedure::Places::Figures> places{};
};

// Who its processes run as.
[[nodiscard]] std::uint32_t uid_of(const config::ChildKeys& keys);

// {"used","max","reserved"}, of daemon.max_connections.
[[nodiscard]] nlohmann::ordered_json places_json(const procedure::Places::Figures& places);

// The word for a node's state. A listener waits when all of its workers do: its port queues. A process that has ended
// is stopping as long as others of its group live.
[[nodiscard]] std::string_view state_text(const World& world, const supervision::NodeView& view);

// The node and everything below it.
[[nodiscard]] nlohmann::ordered_json tree_json(const World& world, supervision::NodeId node);
[[nodiscard]] nlohmann::ordered_json stats_json(const World& world);
// [{"path","differs":["stopped"]}, …], one object a path.
[[nodiscard]] nlohmann::ordered_json differences_json(const std::vector<reload::Difference>& differences);

}  // namespace bulkhead::control
