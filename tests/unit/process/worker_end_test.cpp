#include "master/process/worker_end.h"

#include <catch2/catch.hpp>

namespace bulkhead::process {
namespace {

using supervision::ExitReason;
using State = WorkerProcess::State;

TEST_CASE("the end of a worker is judged by whether it was requested, and whether another one is needed") {
  struct Row {
    State state;
    bool superfluous;
    ExitReason reason;
  };
  constexpr Row kRows[] = {
      {State::starting, false, ExitReason::abnormal},      {State::ready, false, ExitReason::abnormal},
      {State::leaving, false, ExitReason::retired},        {State::starting, true, ExitReason::permanent_failure},
      {State::ready, true, ExitReason::permanent_failure}, {State::leaving, true, ExitReason::permanent_failure}};
  for (const Row& row : kRows) {
    INFO("state " << static_cast<int>(row.state) << ", superfluous " << row.superfluous);
    CHECK(judge_worker_exit(row.state, row.superfluous) == row.reason);
  }
}

}  // namespace
}  // namespace bulkhead::process
