// The supervision tree that a configuration describes: the daemon starts it, and `simulate --config` runs scenarios on
// it.
#pragma once

#include <cstdint>
#include <vector>

#include "master/config/config.h"
#include "master/supervision/child_spec.h"

namespace bulkhead::config {

// Joins the spec of each entry with those of its children. A listener gets its workers, "1" to "N".
[[nodiscard]] supervision::ChildSpec tree_of_config(const config::Node& node);

// Worker `number` of a listener: a permanent child that restarts at once, except if it died before it had been ready
// for a second. `of_listener` is the listener's own delay. Its workers have the same, unless it is the default: then
// they wait 0, 100 ms, 200 ms … 5 s, because a port that nobody serves is dearer than a fork.
[[nodiscard]] supervision::ChildSpec worker_spec(std::uint32_t number, const supervision::RestartDelay& of_listener);

// Workers "1" to `count` of a listener.
[[nodiscard]] std::vector<supervision::ChildSpec> worker_specs(std::uint32_t count,
                                                               const supervision::RestartDelay& of_listener);

}  // namespace bulkhead::config
