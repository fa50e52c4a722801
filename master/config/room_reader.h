// Whether the system has room for what a configuration asks for. What was asked for and cannot be had is an error, at
// its key; a default becomes what there is room for, and Listener::remarks says so.
#pragma once

#include "master/config/section.h"

namespace bulkhead::config {

// After everything else of the listener has been read.
void check_room(Context& context, const Section& section, Listener& listener, Value& effective);

// After everything has been read; `section` is the root supervisor.
void check_descriptors(Context& context, const Section& section, const Node& root);

}  // namespace bulkhead::config
