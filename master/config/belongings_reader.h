// The options about what a child is given: directories of its own, and credentials.
#pragma once

#include "master/config/config.h"
#include "master/config/section.h"

namespace bulkhead::config {

// `state_directory`, `runtime_directory` and `logs_directory`.
template <Belongings::Directory::Kind kind>
void set_directory(Context& context, ChildKeys& keys, const Entry& entry);

void set_credentials(Context& context, ChildKeys& keys, const Entry& entry);

// Call it after the sandbox has been read: the directories may be written to.
void allow_directories(ChildKeys& keys);

// A child with another root directory cannot reach them.
void check_belongings(Context& context, const Section& section, const ChildKeys& keys);

}  // namespace bulkhead::config
