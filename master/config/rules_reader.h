// `rules`: exceptions for the clients of some networks.
#pragma once

#include "master/config/section.h"

namespace bulkhead::config {

// The most rules of one listener that may have their own handler or variables.
inline constexpr std::size_t kMostOwnHandlers = 63;

// Call it after the listener's own handler has been read.
void set_rules(Context& context, Node& node, const Entry& entry);

}  // namespace bulkhead::config
