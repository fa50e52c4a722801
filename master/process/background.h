// Notices that a program has gone to the background: it has exited, and a process that it has started continues. Its
// supervisor takes that for the end of the program.
#pragma once

#include <sys/types.h>

#include <functional>

#include "master/process/child_system.h"

namespace bulkhead::process {

// `leader` has ended and has not been reaped. True: a process lives in its group; or a child of the master, which was
// adopted from it as far as one can see (nobody's, of the same user, and not older), lives in another one. To be called
// before the group is signalled.
[[nodiscard]] bool has_left_some_running(ChildSystem& system, pid_t leader, const std::function<bool(pid_t)>& is_known);

}  // namespace bulkhead::process
