// The daemon's state as JSON, in the shapes that bulkheadctl(8) documents; its connections are in connection_list.h.
// Reads only; numbers that come from a table are what its workers wrote there, so they are shown and never acted on.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "master/net/listener.h"
#include "master/process/adoption.h"
#include "master/process/processes.h"
#include "master/process/workers.h"
#include "master/supervision/tree.h"

namespace bulkhead::control {

struct World {
  const supervision::Tree& tree;
  const std::map<std::string, std::unique_ptr<net::Listener>>& listeners;
  const process::Workers& workers;
  const process::Processes& processes;
  const process::Adoption& adoption;
  std::uint32_t generation;
};

[[nodiscard]] nlohmann::ordered_json tree_json(const World& world);
[[nodiscard]] nlohmann::ordered_json stats_json(const World& world);

}  // namespace bulkhead::control
