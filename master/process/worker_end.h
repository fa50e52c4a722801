// Decides what the end of a worker means for its listener's supervisor. Pure.
//
//   state     superfluous
//   any       yes          permanent_failure: another one could not serve either, the listener is closing
//   leaving   no           retired: the master has asked it to, and replaces it without counting that
//   others    no           abnormal
//
// The messages of the worker do not matter: a worker that retires because of a TERM which the master did not send is
// counted and delayed like one that was killed, because anything below the master may send signals.
#pragma once

#include "master/process/workers.h"
#include "master/supervision/event.h"

namespace bulkhead::process {

[[nodiscard]] constexpr supervision::ExitReason judge_worker_exit(WorkerProcess::State state,
                                                                  bool superfluous) noexcept {
  using supervision::ExitReason;
  if (superfluous) return ExitReason::permanent_failure;
  return state == WorkerProcess::State::leaving ? ExitReason::retired : ExitReason::abnormal;
}

}  // namespace bulkhead::process
