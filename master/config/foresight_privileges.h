// Whether the daemon has the privileges that a child's keys need.
#pragma once

#include "master/config/section.h"

namespace bulkhead::config {

void foresee_privileges(Context& context, const Section& section, const ChildKeys& keys);

}  // namespace bulkhead::config
