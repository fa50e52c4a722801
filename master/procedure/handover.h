// What is under way in the procedures when another program takes over, and the continuation there.
#pragma once

#include <cstdint>
#include <string>

#include "master/net/end_phase.h"
#include "master/running/catalogue.h"
#include "master/supervision/event.h"

namespace bulkhead::procedure {

// What is asked of a node.
enum class Verb : std::uint8_t {
  stop,
  start,
  restart,
  remove,   // by an operator, once it has ended
  discard,  // by a reload: stopped first
  add,
  restart_group  // with its dependents
};

// A request that has not been answered.
struct OperationHandover {
  Verb verb = Verb::stop;
  std::string path;
  bool begun = false;         // false: it waits for others
  bool last = false;          // its last step has been requested of the tree
  running::AddedChild child;  // of `add`
};

// The end of the listeners at and below a path.
struct EndingHandover {
  std::string path;
  net::EndPhase phase = net::EndPhase::idle;
  supervision::Instant since{};
  supervision::Duration lame_duck{};
};

}  // namespace bulkhead::procedure
