// Decides what the end of a worker means for its listener's supervisor. Pure.
//
//   state      retiring  superfluous
//   any        any       yes          permanent_failure: another one could not serve either, the listener is closing
//   starting   any       no           abnormal: it never became ready, whatever it says
//   otherwise  yes       no           retired: it left on purpose, and is replaced without being counted
//   otherwise  no        no           abnormal
#pragma once

#include "master/process/workers.h"
#include "master/supervision/event.h"

namespace bulkhead::process {

[[nodiscard]] constexpr supervision::ExitReason judge_worker_exit(WorkerProcess::State state, bool retiring,
                                                                  bool superfluous) noexcept {
  using supervision::ExitReason;
  if (superfluous) return ExitReason::permanent_failure;
  if (state == WorkerProcess::State::starting) return ExitReason::abnormal;
  return retiring ? ExitReason::retired : ExitReason::abnormal;
}

}  // namespace bulkhead::process
