// Which siblings a restart includes, and in which order.
#include <catch2/catch.hpp>

#include "tests/unit/supervision/rehearsal.h"

namespace bulkhead::supervision::testing {

TEST_CASE("a crash restarts the children that the strategy selects: stops in reverse order, starts in order") {
  struct Row {
    Strategy strategy;
    const char* crashed;
    Log expected;
  };
  const std::vector<Row> rows{
      {Strategy::one_for_one, "root/b", {"start root/b"}},
      {Strategy::rest_for_one, "root/b", {"stop root/c", "start root/b", "start root/c"}},
      {Strategy::rest_for_one, "root/c", {"start root/c"}},
      {Strategy::one_for_all, "root/b", {"stop root/c", "stop root/a", "start root/a", "start root/b", "start root/c"}},
  };
  for (const Row& row : rows) {
    Rehearsal tree({child("a"), child("b"), child("c")}, flags(row.strategy));
    tree.start();
    (void)tree.log();
    tree.exit(row.crashed);
    CHECK(tree.log({"start", "stop"}) == row.expected);
    CHECK(tree.states() == "a:running b:running c:running");
  }
}

TEST_CASE("a group restart counts once however many children it restarts") {
  Rehearsal tree({child("a"), child("b"), child("c")}, flags(Strategy::one_for_all, 1));
  tree.start();
  tree.exit("root/b");
  CHECK(tree.view("root")->restarts_in_window == 1);
  CHECK(tree.view("root/a")->restarts == 1);
  tree.exit("root/a");
  CHECK(tree.state("root") == "stopped");
}

TEST_CASE("a temporary sibling is stopped by a group restart and removed") {
  Rehearsal tree({child("a"), child("t", Restart::temporary), child("c")}, flags(Strategy::one_for_all));
  tree.start();
  (void)tree.log();
  tree.exit("root/a");
  CHECK(tree.log({"stop", "removed", "start"}) ==
        Log{"stop root/c", "stop root/t", "removed root/t", "start root/a", "start root/c"});
}

TEST_CASE("a group restart starts finished and terminated children too, but not failed ones") {
  Rehearsal tree({child("a"), child("b", Restart::transient), child("c"), child("d")}, flags(Strategy::one_for_all));
  tree.start();
  tree.exit("root/b", ExitReason::normal);
  CHECK(tree.terminate_child("root", "c") == "ok");
  tree.exit("root/d", ExitReason::permanent_failure);
  CHECK(tree.states() == "a:running b:stopped c:stopped d:failed");
  tree.exit("root/a");
  CHECK(tree.states() == "a:running b:running c:running d:failed");
}

TEST_CASE("a child before the failing one keeps running under rest_for_one and is handled afterwards") {
  Rehearsal tree({child("a"), child("b"), child("c")}, flags(Strategy::rest_for_one));
  tree.slow_to_stop = {"root/c"};
  tree.start();
  (void)tree.log();
  tree.exit("root/b");
  tree.exit("root/a");
  CHECK(tree.log() == Log{"exit root/b", "restart root/b 0 ms #1", "stop root/c", "exit root/a"});
  tree.slow_to_stop.clear();
  tree.exit("root/c", ExitReason::shutdown);
  CHECK(tree.log({"restart", "start", "stop"}) == Log{"start root/b", "start root/c", "restart root/a 0 ms #2",
                                                      "stop root/c", "stop root/b", "start root/a", "start root/b",
                                                      "start root/c"});
}

TEST_CASE("a sibling that crashes while the group is being stopped is absorbed") {
  Rehearsal tree({child("a"), child("b"), child("c")}, flags(Strategy::one_for_all, 1));
  tree.slow_to_stop = {"root/c"};
  tree.start();
  tree.exit("root/a");
  tree.exit("root/b");
  tree.exit("root/c");
  CHECK(tree.states() == "a:running b:running c:running");
  CHECK(tree.view("root")->restarts_in_window == 1);
}

TEST_CASE("an exit that a group restart has overtaken is forgotten, also when its child is not started again at once") {
  Rehearsal tree({child("a"), child("b"), child("c")}, flags(Strategy::one_for_all, 9));
  tree.slow_to_stop = {"root/c"};
  tree.start();
  tree.exit("root/a");
  tree.exit("root/b");
  tree.failing["root/a"] = 1;
  (void)tree.log();
  tree.exit("root/c");
  CHECK(tree.log({"restart", "failed"}) == Log{"failed root/a", "restart root/a 0 ms #2"});
}

TEST_CASE("the overtaken exit of an earlier run is not mistaken for one of the current run") {
  Rehearsal tree({child("a"), child("b", Restart::transient), child("c")}, flags(Strategy::one_for_all, 9));
  tree.slow_to_stop = {"root/c"};
  tree.start();
  tree.exit("root/a");
  tree.exit("root/b", ExitReason::normal);  // while c is being stopped
  tree.slow_to_start = {"root/c"};
  tree.exit("root/c");
  tree.exit("root/b", ExitReason::abnormal);  // its next run, while c is being started
  tree.slow_to_stop.clear();
  tree.slow_to_start.clear();
  (void)tree.log();
  tree.ready("root/c");
  CHECK(tree.log({"restart"}) == Log{"restart root/b 0 ms #2"});
  CHECK(tree.states() == "a:running b:running c:running");
}

TEST_CASE("when a sibling does not start, the strategy starts over for that sibling, and it counts") {
  struct Row {
    Strategy strategy;
    Log expected;
  };
  const std::vector<Row> rows{
      {Strategy::one_for_all,
       {"stop root/c", "stop root/b", "start root/a", "start root/b", "failed root/b", "stop root/a", "start root/a",
        "start root/b", "start root/c"}},
      {Strategy::rest_for_one,
       {"stop root/c", "stop root/b", "start root/a", "start root/b", "failed root/b", "start root/b", "start root/c"}},
  };
  for (const Row& row : rows) {
    Rehearsal tree({child("a"), child("b"), child("c")}, flags(row.strategy));
    tree.start();
    (void)tree.log();
    tree.failing["root/b"] = 1;
    tree.exit("root/a");
    CHECK(tree.log({"start", "stop", "failed"}) == row.expected);
    CHECK(tree.view("root")->restarts_in_window == 2);
  }
}

TEST_CASE("when an earlier sibling does not start, the child that the restart began with is only stopped") {
  Rehearsal tree({child("a"), child("b"), child("c")}, flags(Strategy::one_for_all, 9));
  tree.start();
  tree.slow_to_start = {"root/a"};
  tree.exit("root/c");
  CHECK(tree.states() == "a:starting b:stopped c:restarting");
  tree.slow_to_stop = {"root/a"};
  CHECK(tree.terminate_child("root", "a") == "-");
  CHECK(tree.restart_child("root", "c") == "restarting");
  tree.start_fails("root/a");
  CHECK(tree.answer(tree.last_token() - 1) == "ok");
  CHECK(tree.restart_child("root", "c") == "ok");
  CHECK(tree.states() == "a:stopped b:stopped c:running");
}

TEST_CASE("a sibling that exits while a retry waits in the queue can bring the retried child up") {
  Rehearsal tree({child("a"), child("b")}, flags(Strategy::one_for_all, 5));
  tree.start();
  tree.slow_to_start = {"root/b"};
  tree.exit("root/a");
  tree.exit("root/a");  // comes before the retry of b, which is still starting
  (void)tree.log();
  tree.slow_to_start.clear();
  tree.start_fails("root/b");
  CHECK(tree.log({"restart", "start"}) == Log{"restart root/a 0 ms #2", "start root/a", "start root/b"});
  CHECK(tree.states() == "a:running b:running");
}

TEST_CASE("nested supervisors stop and start as units in a group restart") {
  Rehearsal tree({child("a"), supervisor("s", {child("x"), child("y")}), child("b")}, flags(Strategy::one_for_all));
  tree.start();
  CHECK(tree.log({"+", "start"}) ==
        Log{"+ root", "start root/a", "+ root/s", "start root/s/x", "start root/s/y", "start root/b"});
  tree.exit("root/a");
  CHECK(tree.log({"+", "-", "start", "stop"}) == Log{"stop root/b", "stop root/s/y", "stop root/s/x", "- root/s parent",
                                                     "start root/a", "+ root/s", "start root/s/x", "start root/s/y",
                                                     "start root/b"});
}

}  // namespace bulkhead::supervision::testing
