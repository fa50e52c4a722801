// The effect of an exit, by restart type and reason.
#include <catch2/catch.hpp>

#include "tests/unit/supervision/rehearsal.h"

namespace bulkhead::supervision::testing {

TEST_CASE("restart type and exit reason decide what happens to a child, and whether it counts") {
  struct Row {
    Restart restart;
    ExitReason reason;
    const char* state;
    std::uint32_t counted;
  };
  using R = Restart;
  using E = ExitReason;
  const std::vector<Row> rows{
      {R::permanent, E::normal, "running", 1},
      {R::permanent, E::shutdown, "running", 1},
      {R::permanent, E::abnormal, "running", 1},
      {R::permanent, E::permanent_failure, "failed", 0},
      {R::permanent, E::retired, "running", 0},
      {R::transient, E::normal, "stopped", 0},
      {R::transient, E::shutdown, "stopped", 0},
      {R::transient, E::abnormal, "running", 1},
      {R::transient, E::permanent_failure, "failed", 0},
      {R::transient, E::retired, "running", 0},
      {R::temporary, E::normal, "gone", 0},
      {R::temporary, E::shutdown, "gone", 0},
      {R::temporary, E::abnormal, "gone", 0},
      {R::temporary, E::permanent_failure, "gone", 0},
      {R::temporary, E::retired, "running", 0},
  };
  for (const Row& row : rows) {
    Rehearsal tree({child("a", row.restart), child("b")});
    tree.start();
    tree.exit("root/a", row.reason);
    CAPTURE(static_cast<int>(row.restart), static_cast<int>(row.reason));
    CHECK(tree.state("root/a") == row.state);
    CHECK(tree.view("root")->restarts_in_window == row.counted);
    CHECK(tree.state("root/b") == "running");
  }
}

TEST_CASE("a retired child is replaced alone, whatever the strategy") {
  for (const Strategy strategy : {Strategy::one_for_one, Strategy::one_for_all, Strategy::rest_for_one}) {
    Rehearsal tree({child("a"), child("b"), child("c")}, flags(strategy, 0));
    tree.start();
    (void)tree.log();
    tree.exit("root/b", ExitReason::retired);
    CHECK(tree.log() == Log{"exit root/b", "start root/b", "ready root/b"});
    CHECK(tree.view("root/b")->restarts == 0);
  }
}

TEST_CASE("a retired child whose replacement does not start is retried, and that counts") {
  Rehearsal tree({child("a")}, flags(Strategy::one_for_one, 1));
  tree.start();
  tree.failing["root/a"] = 1;
  tree.exit("root/a", ExitReason::retired);
  CHECK(tree.state("root/a") == "running");
  CHECK(tree.view("root")->restarts_in_window == 1);
}

TEST_CASE("a child that retires while it is being stopped stays stopped") {
  Rehearsal tree({child("a")});
  tree.slow_to_stop = {"root/a"};
  tree.start();
  CHECK(tree.terminate_child("root", "a") == "-");
  tree.exit("root/a", ExitReason::retired);
  CHECK(tree.answer(tree.last_token()) == "ok");
  CHECK(tree.state("root/a") == "stopped");
}

TEST_CASE("a start with a permanent failure is not tried again, and its siblings continue") {
  Rehearsal tree({child("a"), child("b"), supervisor("s", {child("x"), child("y")})}, flags(Strategy::one_for_all));
  tree.hopeless = {"root/a", "root/s/x"};
  tree.start();
  CHECK(tree.log({"failed", "ready", "restart"}) ==
        Log{"failed root/a", "ready root/b", "failed root/s/x", "ready root/s/y"});
  CHECK(tree.states() == "a:failed b:running s:running s/x:failed s/y:running");
  CHECK(tree.view("root")->restarts_in_window == 0);
  tree.exit("root/b");
  CHECK(tree.log({"start"}) == Log{"start root/b", "start root/s/x", "start root/s/y"});
  CHECK(tree.states() == "a:failed b:running s:running s/x:failed s/y:running");
}

TEST_CASE("a permanent failure of a restart before readiness ends the attempts, whatever the restart type") {
  for (const Restart restart : {Restart::permanent, Restart::transient}) {
    Rehearsal tree({child("a", restart), child("b")}, flags(Strategy::rest_for_one));
    tree.start();
    tree.hopeless = {"root/a"};
    tree.exit("root/a");
    CHECK(tree.states() == "a:failed b:running");
    CHECK(tree.view("root")->restarts_in_window == 1);
  }
}

TEST_CASE("a significant child that fails for good before it is ready ends its supervisor") {
  Rehearsal tree({significant("a", Restart::transient), child("b")},
                 flags(Strategy::one_for_one, 3, AutoShutdown::any_significant));
  tree.hopeless = {"root/a"};
  tree.start();
  CHECK(tree.log({"ready", "stop", "over"}) == Log{"ready root/b", "stop root/b", "over auto_shutdown"});
}

TEST_CASE("an operator who starts or adds a child that fails permanently gets an error") {
  Rehearsal tree({child("a"), child("t", Restart::temporary)});
  tree.hopeless = {"root/a", "root/t", "root/new"};
  tree.start();
  CHECK(tree.states() == "a:failed");
  CHECK(tree.restart_child("root", "a") == "start_failed");
  CHECK(tree.states() == "a:failed");
  CHECK(tree.start_child("root", child("new")) == "start_failed");
  CHECK(tree.terminate_child("root", "a") == "ok");
  CHECK(tree.delete_child("root", "a") == "ok");
  CHECK(tree.states().empty());
}

TEST_CASE("a permanent failure that waits in the mailbox is not started again with its group") {
  Rehearsal tree({child("a"), child("b"), child("c")}, flags(Strategy::one_for_all));
  tree.slow_to_stop = {"root/c"};
  tree.start();
  tree.exit("root/a");
  tree.exit("root/b", ExitReason::permanent_failure);
  CHECK(tree.state("root/b") == "failed");
  tree.exit("root/c");
  CHECK(tree.states() == "a:running b:failed c:running");
}

TEST_CASE("an operator can start a child with a permanent failure again, or delete it") {
  Rehearsal tree({child("a"), child("b")});
  tree.start();
  tree.exit("root/a", ExitReason::permanent_failure);
  tree.exit("root/b", ExitReason::permanent_failure);
  CHECK(tree.terminate_child("root", "a") == "ok");
  CHECK(tree.state("root/a") == "failed");
  CHECK(tree.restart_child("root", "a") == "ok");
  CHECK(tree.delete_child("root", "b") == "ok");
  CHECK(tree.states() == "a:running");
}

TEST_CASE("events of an earlier run or of an unknown node, and repeated events, are dropped") {
  Rehearsal tree({child("a")});
  tree.start();
  const NodeView first = *tree.view("root/a");
  tree.exit("root/a");
  (void)tree.log();
  tree.feed(ChildExited{first.id, first.run, ExitReason::abnormal});
  tree.feed(ChildReady{first.id, first.run});
  tree.feed(StartFailed{first.id, first.run});
  tree.feed(ChildExited{99, 99, ExitReason::abnormal});
  tree.feed(ChildExited{kRoot, 1, ExitReason::abnormal});
  tree.feed(Start{});
  tree.feed(DeadlineReached{});
  CHECK(tree.log().empty());
  CHECK(tree.states() == "a:running");
}

TEST_CASE("an exit instead of a failed start, and the other way round, is accepted") {
  Rehearsal tree({child("a")}, flags(Strategy::one_for_one, 5));
  tree.start();
  tree.slow_to_start = {"root/a"};
  tree.exit("root/a");
  (void)tree.log();
  tree.exit("root/a");  // while it is starting
  CHECK(tree.log() == Log{"failed root/a", "restart root/a 0 ms #2", "start root/a"});
  tree.ready("root/a");
  tree.start_fails("root/a");  // while it is running
  CHECK(tree.log({"exit", "restart"}) == Log{"exit root/a", "restart root/a 0 ms #3"});
}

}  // namespace bulkhead::supervision::testing
