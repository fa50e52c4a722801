// The key `log` of a listener or a process.
#pragma once

#include "master/config/config.h"
#include "master/config/section.h"

namespace bulkhead::config {

void read_own_log(Context& context, OwnLog& log, const Entry& entry);

}  // namespace bulkhead::config
