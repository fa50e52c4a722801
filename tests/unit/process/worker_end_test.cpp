#include "master/process/worker_end.h"

#include <catch2/catch.hpp>

namespace bulkhead::process {
namespace {

using supervision::ExitReason;
using State = WorkerProcess::State;

TEST_CASE(
    "the end of a worker is judged by how far it had come, whether it left on purpose, and whether it is needed") {
  struct Row {
    State state;
    bool retiring;
    bool superfluous;
    ExitReason reason;
  };
  constexpr Row kRows[] = {{State::starting, false, false, ExitReason::abnormal},
                           {State::starting, true, false, ExitReason::abnormal},
                           {State::ready, false, false, ExitReason::abnormal},
                           {State::ready, true, false, ExitReason::retired},
                           {State::leaving, false, false, ExitReason::abnormal},
                           {State::leaving, true, false, ExitReason::retired},
                           {State::starting, false, true, ExitReason::permanent_failure},
                           {State::starting, true, true, ExitReason::permanent_failure},
                           {State::ready, false, true, ExitReason::permanent_failure},
                           {State::ready, true, true, ExitReason::permanent_failure},
                           {State::leaving, false, true, ExitReason::permanent_failure},
                           {State::leaving, true, true, ExitReason::permanent_failure}};
  for (const Row& row : kRows) {
    INFO("state " << static_cast<int>(row.state) << ", retiring " << row.retiring << ", superfluous "
                  << row.superfluous);
    CHECK(judge_worker_exit(row.state, row.retiring, row.superfluous) == row.reason);
  }
}

}  // namespace
}  // namespace bulkhead::process
