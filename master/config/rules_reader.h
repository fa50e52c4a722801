// `rules`: what is different for the clients of some networks.
#pragma once

#include "master/config/section.h"

namespace bulkhead::config {

// The most rules of one listener that have a handler or variables of their own.
inline constexpr std::size_t kMostOwnHandlers = 63;

// The listener's own handler has been read.
void set_rules(Context& context, Node& node, const Entry& entry);

}  // namespace bulkhead::config
