// What happens in a simulated world, in order and with its virtual times, as JSON. Internal to the simulator.
//
// An entry is {"seconds", "event", "path", …} with the events and members of bulkheadctl(8), except that the reason of
// a `child_exited` is the scenario's word, that a failed start is `start_failed`, and that a crash which finds no
// running process is `not_running` with the node's `state`.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "master/simulate/scenario.h"
#include "master/supervision/command.h"

namespace bulkhead::simulation {

// Null for a report that says nothing to a reader. `reason` is that of a ChildExited.
[[nodiscard]] Json timeline_entry(supervision::Instant at, const supervision::Report& report,
                                  const std::string& reason);
[[nodiscard]] Json not_running_entry(supervision::Instant at, const std::string& path, std::string_view state);

}  // namespace bulkhead::simulation
