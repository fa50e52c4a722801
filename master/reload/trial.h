// The first half of a reload: the steps that may fail, each with its undoing.
//
//   taken_back   its end is called off                                       undone: ended again
//   added        started; serves no client until the reload has succeeded         undone: ended and removed
//   new_workers  addresses bound, the first workers of the new generation     undone: the old configuration, the new
//                started; they must become ready                              workers end, addresses closed
//   restarted    a process is stopped and started as the new file says        undone: started as it was
//
// A process comes last, because its trial interrupts it: it cannot be tried beside the one that runs, which may hold a
// lock or a port.
#pragma once

#include "master/reload/attempt.h"

namespace bulkhead::reload {

// Adds the trials of attempt.plan to attempt.steps. `attempt` must outlive them.
void plan_trials(Attempt& attempt);

}  // namespace bulkhead::reload
