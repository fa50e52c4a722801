#include "master/process/exit_judgement.h"

#include <catch2/catch.hpp>
#include <csignal>
#include <vector>

namespace bulkhead::process::testing {

namespace {

using supervision::ExitReason;

// As wait(2) lays them out on Linux.
int exited(int status) {
  return status << 8;
}
int killed(int signal) {
  return signal;
}
int dumped(int signal) {
  return signal | 0x80;
}

struct Row {
  int wait_status;
  std::vector<std::uint8_t> normal;
  std::vector<std::uint8_t> permanent;
  ExitReason reason;
};

}  // namespace

TEST_CASE("a child's end is judged by its lists, and a signal is always abnormal") {
  const std::vector<Row> rows{
      {exited(0), {0}, {}, ExitReason::normal},
      {exited(1), {0}, {}, ExitReason::abnormal},
      {exited(0), {}, {}, ExitReason::abnormal},
      {exited(0), {3}, {}, ExitReason::abnormal},
      {exited(3), {0, 3}, {}, ExitReason::normal},
      {exited(255), {255}, {}, ExitReason::normal},
      {exited(127), {0}, {}, ExitReason::abnormal},
      {exited(78), {0}, {78}, ExitReason::permanent_failure},
      {exited(0), {1}, {0}, ExitReason::permanent_failure},
      {exited(77), {0}, {78}, ExitReason::abnormal},
      {exited(78), {78}, {78}, ExitReason::permanent_failure},
      {killed(SIGTERM), {0}, {}, ExitReason::abnormal},
      {killed(SIGKILL), {0, 9, 137}, {}, ExitReason::abnormal},
      {killed(SIGHUP), {0}, {1}, ExitReason::abnormal},
      {dumped(SIGSEGV), {0, 11, 139}, {11, 139}, ExitReason::abnormal},
  };
  for (const Row& row : rows) {
    CAPTURE(row.wait_status, row.normal, row.permanent);
    CHECK(judge_exit(row.wait_status, row.normal, row.permanent) == row.reason);
  }
}

TEST_CASE("every exit status that is in no list is abnormal") {
  const std::vector<std::uint8_t> normal{0, 200};
  const std::vector<std::uint8_t> permanent{78};
  for (int status = 0; status < 256; ++status) {
    CAPTURE(status);
    const bool listed = status == 0 || status == 200 || status == 78;
    CHECK((judge_exit(exited(status), normal, permanent) == ExitReason::abnormal) == !listed);
  }
}

TEST_CASE("a start is a shortage only if the system had run out of something") {
  CHECK(judge_start(true, true, ExitReason::abnormal) == ExitReason::shortage);
  CHECK(judge_start(true, true, ExitReason::permanent_failure) == ExitReason::shortage);
  CHECK(judge_start(true, false, ExitReason::permanent_failure) == ExitReason::permanent_failure);
  CHECK(judge_start(false, true, ExitReason::normal) == ExitReason::normal);
}

TEST_CASE(
    "the end of a worker is judged by its state, whether another one is needed and whether the system lacked "
    "processes") {
  struct Row {
    RunState state;
    bool superfluous;
    bool shortage;
    ExitReason reason;
  };
  constexpr Row kRows[] = {{RunState::starting, false, false, ExitReason::abnormal},
                           {RunState::starting, false, true, ExitReason::shortage},
                           {RunState::starting, true, true, ExitReason::permanent_failure},
                           {RunState::ready, false, false, ExitReason::abnormal},
                           {RunState::ready, false, true, ExitReason::abnormal},
                           {RunState::ready, true, false, ExitReason::permanent_failure},
                           {RunState::leaving, false, false, ExitReason::retired},
                           {RunState::leaving, false, true, ExitReason::retired},
                           {RunState::leaving, true, false, ExitReason::permanent_failure}};
  for (const Row& row : kRows) {
    INFO("state " << static_cast<int>(row.state) << ", superfluous " << row.superfluous << ", shortage "
                  << row.shortage);
    CHECK(judge_worker_exit(row.state, row.superfluous, row.shortage) == row.reason);
  }
}

}  // namespace bulkhead::process::testing
