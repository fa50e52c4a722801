// Decides what the end of a worker means for its listener's supervisor. Pure.
//
//   state      superfluous  shortage
//   any        yes          any       permanent_failure: another one could not serve either, the listener is closing
//   leaving    no           any       retired: the master has asked it to, and replaces it without counting that
//   starting   no           yes       shortage: it could not start for want of processes or memory
//   others     no           any       abnormal
//
// The messages of the worker do not matter: a worker that retires because of a TERM which the master did not send is
// counted and delayed like one that was killed, because anything below the master may send signals.
#pragma once

#include "master/process/workers.h"
#include "master/supervision/event.h"

namespace bulkhead::process {

[[nodiscard]] constexpr supervision::ExitReason judge_worker_exit(WorkerProcess::State state, bool superfluous,
                                                                  bool shortage) noexcept {
  using supervision::ExitReason;
  using State = WorkerProcess::State;
  if (superfluous) return ExitReason::permanent_failure;
  if (state == State::leaving) return ExitReason::retired;
  return state == State::starting && shortage ? ExitReason::shortage : ExitReason::abnormal;
}

}  // namespace bulkhead::process
