#include "master/process/worker_end.h"

#include <catch2/catch.hpp>

namespace bulkhead::process {
namespace {

using supervision::ExitReason;
using State = WorkerProcess::State;

TEST_CASE(
    "the end of a worker is judged by its state, whether another one is needed and whether the system lacked "
    "processes") {
  struct Row {
    State state;
    bool superfluous;
    bool shortage;
    ExitReason reason;
  };
  constexpr Row kRows[] = {{State::starting, false, false, ExitReason::abnormal},
                           {State::starting, false, true, ExitReason::shortage},
                           {State::starting, true, true, ExitReason::permanent_failure},
                           {State::ready, false, false, ExitReason::abnormal},
                           {State::ready, false, true, ExitReason::abnormal},
                           {State::ready, true, false, ExitReason::permanent_failure},
                           {State::leaving, false, false, ExitReason::retired},
                           {State::leaving, false, true, ExitReason::retired},
                           {State::leaving, true, false, ExitReason::permanent_failure}};
  for (const Row& row : kRows) {
    INFO("state " << static_cast<int>(row.state) << ", superfluous " << row.superfluous << ", shortage "
                  << row.shortage);
    CHECK(judge_worker_exit(row.state, row.superfluous, row.shortage) == row.reason);
  }
}

}  // namespace
}  // namespace bulkhead::process
