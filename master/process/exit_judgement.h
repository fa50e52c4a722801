// Decides what the end of a child means for its supervisor. Pure. Never returns `shutdown`: the tree itself knows the
// ends that it asked for.
#pragma once

#include <cstdint>
#include <span>

#include "master/process/run_table.h"
#include "master/supervision/event.h"

namespace bulkhead::process {

// A start that failed because the system had run out of something is tried again without being counted; any other end
// means `otherwise`.
[[nodiscard]] constexpr supervision::ExitReason judge_start(bool starting, bool shortage,
                                                            supervision::ExitReason otherwise) noexcept {
  return starting && shortage ? supervision::ExitReason::shortage : otherwise;
}

// A process child:
//
//   exit status in permanent_failure_exit   permanent_failure: not restarted, whatever `restart` says
//   exit status in normal_exit              normal
//   any other status, any signal            abnormal
//
// `wait_status` as waitpid(2) gives it for a process that ended. A status in both lists is a permanent failure; the
// configuration does not let that happen.
[[nodiscard]] supervision::ExitReason judge_exit(int wait_status, std::span<const std::uint8_t> normal_exit,
                                                 std::span<const std::uint8_t> permanent_failure_exit) noexcept;

// A worker:
//
//   state      superfluous  shortage
//   any        yes          any       permanent_failure: another one could not serve either, the listener is closing
//   leaving    no           any       retired: the master has asked it to, and replaces it without counting that
//   starting   no           yes       shortage
//   others     no           any       abnormal
//
// The messages of the worker do not matter: a worker that retires because of a TERM which the master did not send is
// counted and delayed like one that was killed, because anything below the master may send signals.
[[nodiscard]] constexpr supervision::ExitReason judge_worker_exit(RunState state, bool superfluous,
                                                                  bool shortage) noexcept {
  using supervision::ExitReason;
  if (superfluous) return ExitReason::permanent_failure;
  if (state == RunState::leaving) return ExitReason::retired;
  return judge_start(state == RunState::starting, shortage, ExitReason::abnormal);
}

}  // namespace bulkhead::process
