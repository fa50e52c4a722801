// Whether the system has room for what a configuration asks for. If a configured value cannot be had, that is an error
// at its key; a default is lowered to what fits, and Listener::remarks says so.
#pragma once

#include "master/config/section.h"

namespace bulkhead::config {

// Call it after everything else of the listener has been read.
void check_room(Context& context, const Section& section, Listener& listener, Value& effective);

// Call it after everything has been read; `section` is the root supervisor.
void check_descriptors(Context& context, const Section& section, const Node& root);

}  // namespace bulkhead::config
