// The supervision tree that a configuration describes: what the daemon starts and what `simulate --config` plays on.
#pragma once

#include "master/config/config.h"
#include "master/supervision/child_spec.h"

namespace bulkhead::config {

// Joins each entry's spec with its children; a listener gets its workers, "1" to "N".
[[nodiscard]] supervision::ChildSpec tree_of_config(const config::Node& node);

// Worker `number` of a listener: a permanent child that restarts at once, unless it died before it was ready or at once
// after.
[[nodiscard]] supervision::ChildSpec worker_spec(std::uint32_t number, const supervision::RestartDelay& delay);

}  // namespace bulkhead::config
