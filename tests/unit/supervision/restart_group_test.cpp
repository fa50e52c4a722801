// An operator's restart of a child together with what its supervisor's strategy ties to it.
#include <catch2/catch.hpp>

#include "tests/unit/supervision/rehearsal.h"

namespace bulkhead::supervision::testing {

namespace {

const Log kOneForOne{"stop root/b", "start root/b"};
const Log kRestForOne{"stop root/c", "stop root/b", "start root/b", "start root/c"};
const Log kOneForAll{"stop root/c", "stop root/b", "stop root/a", "start root/a", "start root/b", "start root/c"};

}  // namespace

TEST_CASE("restart_group restarts what the strategy ties to a child, in OTP's order, and counts nothing") {
  const auto [strategy, expected] = GENERATE(table<Strategy, Log>({{Strategy::one_for_one, kOneForOne},
                                                                   {Strategy::rest_for_one, kRestForOne},
                                                                   {Strategy::one_for_all, kOneForAll}}));
  Rehearsal tree({child("a"), child("b"), child("c")}, flags(strategy, 0));
  tree.start();
  (void)tree.log();
  CHECK(tree.restart_group("root", "b") == "ok");
  CHECK(tree.log({"stop", "start", "restart"}) == expected);
  CHECK(tree.view("root")->restarts_in_window == 0);
  CHECK(tree.view("root/b")->restarts == 0);
  CHECK(tree.states() == "a:running b:running c:running");
}

TEST_CASE("restart_group leaves alone what has ended, except the child itself") {
  Rehearsal tree({child("a"), child("b"), child("done", Restart::transient), child("hopeless"), child("c")},
                 flags(Strategy::rest_for_one, 9));
  tree.start();
  tree.exit("root/done", ExitReason::normal);
  tree.exit("root/hopeless", ExitReason::permanent_failure);
  CHECK(tree.terminate_child("root", "b") == "ok");
  CHECK(tree.terminate_child("root", "a") == "ok");
  CHECK(tree.restart_group("root", "a") == "ok");
  CHECK(tree.states() == "a:running b:stopped done:stopped hopeless:failed c:running");
  CHECK(tree.restart_group("root", "hopeless") == "ok");
  CHECK(tree.state("root/hopeless") == "running");
}

TEST_CASE("restart_group removes temporary children, as a restart by strategy does") {
  Rehearsal tree({child("a"), child("once", Restart::temporary), child("c")}, flags(Strategy::one_for_all, 9));
  tree.start();
  CHECK(tree.restart_group("root", "a") == "ok");
  CHECK(tree.states() == "a:running c:running");
  CHECK(tree.start_child("root", child("once", Restart::temporary)) == "ok");
  CHECK(tree.restart_group("root", "once") == "not_found");
  CHECK(tree.states() == "a:running c:running");
}

TEST_CASE("restart_group ends a delay and a start that is under way") {
  ChildSpec slow = child("a");
  slow.restart_delay.enabled = true;
  Rehearsal tree({slow, child("b")}, flags(Strategy::rest_for_one, 9));
  tree.start();
  tree.exit("root/a");
  tree.exit("root/a");
  REQUIRE(tree.state("root/a") == "waiting");
  CHECK(tree.restart_group("root", "a") == "ok");
  CHECK(tree.states() == "a:running b:running");
  tree.slow_to_start = {"root/a"};
  tree.exit("root/a");
  REQUIRE(tree.state("root/a") == "starting");
  (void)tree.log();
  CHECK(tree.restart_group("root", "a") == "-");
  CHECK(tree.log({"stop", "failed", "start"}) == Log{"stop root/a", "failed root/a", "start root/a"});
  tree.ready("root/a");
  CHECK(tree.answer(tree.last_token()) == "ok");
  CHECK(tree.states() == "a:running b:running");
}

TEST_CASE("a start that fails in restart_group is answered, and tried again as after a failed restart") {
  const std::string failing = GENERATE("root/a", "root/b");
  Rehearsal tree({child("a"), child("b")}, flags(Strategy::rest_for_one, 9));
  tree.start();
  tree.failing = {{failing, 1}};
  CHECK(tree.restart_group("root", "a") == "start_failed");
  CHECK(tree.states() == "a:running b:running");
  CHECK(tree.view("root")->restarts_in_window == 1);
}

TEST_CASE("a permanent failure in restart_group is answered, and the others are started") {
  Rehearsal tree({child("a"), child("b"), child("c")}, flags(Strategy::rest_for_one, 9));
  tree.start();
  tree.hopeless = {"root/b"};
  CHECK(tree.restart_group("root", "a") == "start_failed");
  CHECK(tree.states() == "a:running b:failed c:running");
}

TEST_CASE("restart_group occupies its group, and the end of the supervisor interrupts it") {
  Rehearsal tree({child("a"), child("b"), child("c")}, flags(Strategy::rest_for_one, 9));
  tree.start();
  tree.slow_to_stop = {"root/c"};
  CHECK(tree.restart_group("root", "b") == "-");
  CHECK(tree.tree().restarts_group_of("root/b"));
  CHECK_FALSE(tree.tree().restarts_group_of("root/c"));
  tree.exit("root/b");
  CHECK(tree.terminate_child("root", "a") == "ok");
  CHECK(tree.restart_child("root", "b") == "-");
  tree.stop();
  tree.exit("root/c");
  CHECK(tree.answer(1) == "noproc");
  CHECK(tree.answer(3) == "noproc");
  CHECK(tree.log({"over"}) == Log{"over request"});
}

TEST_CASE("restart_group of a child that does not exist") {
  Rehearsal tree({child("a")});
  tree.start();
  CHECK(tree.restart_group("root", "b") == "not_found");
  CHECK(tree.restart_group("root/a", "b") == "noproc");
}

}  // namespace bulkhead::supervision::testing
