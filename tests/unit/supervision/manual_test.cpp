// What is beyond OTP about a child's first start: by hand only, or after a delay.
#include <catch2/catch.hpp>

#include "tests/unit/supervision/rehearsal.h"

namespace bulkhead::supervision::testing {

namespace {

ChildSpec manual(std::string id, Restart restart = Restart::permanent) {
  ChildSpec spec = child(std::move(id), restart);
  spec.manual = true;
  return spec;
}

ChildSpec delayed(std::string id, std::chrono::milliseconds delay) {
  ChildSpec spec = child(std::move(id));
  spec.start_delay = delay;
  return spec;
}

}  // namespace

TEST_CASE("a manual child is started by operators only") {
  Rehearsal tree({manual("m"), child("a")});
  tree.start();
  CHECK(tree.states() == "m:stopped a:running");
  CHECK(tree.log({"start"}) == Log{"start root/a"});
  CHECK(tree.restart_child("root", "m") == "ok");
  tree.exit("root/m");
  CHECK(tree.states() == "m:running a:running");
  CHECK(tree.start_child("root", manual("n")) == "ok");
  CHECK(tree.state("root/n") == "stopped");
  CHECK(tree.start_child("root", manual("n")) == "already_present");
  CHECK(tree.delete_child("root", "n") == "ok");
}

TEST_CASE("a group restart starts a manual child only if it ran") {
  const Restart restart = GENERATE(Restart::permanent, Restart::transient);
  Rehearsal tree({child("a"), manual("m", restart), child("b")}, flags(Strategy::one_for_all, 9));
  tree.start();
  tree.exit("root/a");
  CHECK(tree.states() == "a:running m:stopped b:running");
  CHECK(tree.restart_child("root", "m") == "ok");
  tree.exit("root/a");
  CHECK(tree.states() == "a:running m:running b:running");
  if (restart == Restart::transient) {
    tree.exit("root/m", ExitReason::normal);
  } else {
    CHECK(tree.terminate_child("root", "m") == "ok");
  }
  tree.exit("root/b");
  CHECK(tree.states() == "a:running m:stopped b:running");
}

TEST_CASE("a manual child that a delayed group restart has stopped comes back with its group") {
  ChildSpec a = child("a");
  a.restart_delay.enabled = true;
  Rehearsal tree({a, manual("m")}, flags(Strategy::one_for_all, 9));
  tree.start();
  CHECK(tree.restart_child("root", "m") == "ok");
  tree.exit("root/a");
  tree.exit("root/a");
  REQUIRE(tree.states() == "a:waiting m:stopped");
  tree.pass(seconds(60));
  CHECK(tree.states() == "a:running m:running");
}

TEST_CASE("an operator's restart of a group that waits starts no manual child that did not run") {
  ChildSpec a = child("a");
  a.restart_delay.enabled = true;
  Rehearsal tree({a, manual("m")}, flags(Strategy::one_for_all, 9));
  tree.start();
  tree.exit("root/a");
  tree.exit("root/a");
  REQUIRE(tree.states() == "a:waiting m:stopped");
  CHECK(tree.restart_group("root", "a") == "ok");
  CHECK(tree.states() == "a:running m:stopped");
}

TEST_CASE("a supervisor's own restart leaves its manual children stopped") {
  Rehearsal tree({supervisor("s", {child("a"), manual("m")}, flags(Strategy::one_for_one, 0))});
  tree.start();
  CHECK(tree.restart_child("root/s", "m") == "ok");
  tree.exit("root/s/a");
  CHECK(tree.states() == "s:running s/a:running s/m:stopped");
}

TEST_CASE("a start_delay holds back the first start, and the siblings after it") {
  Rehearsal tree({child("a"), delayed("d", seconds(3)), child("b")});
  tree.start();
  CHECK(tree.states() == "a:running d:starting b:stopped");
  CHECK(tree.log({"start"}) == Log{"start root/a"});
  CHECK(tree.view("root/d")->due == tree.now() + seconds(3));
  tree.pass(milliseconds(2999));
  CHECK(tree.state("root/d") == "starting");
  tree.pass(milliseconds(1));
  CHECK(tree.log({"start"}) == Log{"start root/d", "start root/b"});
  CHECK(tree.states() == "a:running d:running b:running");
  tree.exit("root/d");
  CHECK(tree.log({"restart", "start"}) == Log{"restart root/d 0 ms #1", "start root/d"});
  CHECK(tree.terminate_child("root", "d") == "ok");
  CHECK(tree.restart_child("root", "d") == "ok");
  CHECK(tree.start_child("root", delayed("e", seconds(3))) == "ok");
  CHECK(tree.state("root/e") == "running");
}

TEST_CASE("an operator, or the end of its supervisor, calls a delayed start off") {
  Rehearsal tree({delayed("d", seconds(3)), child("b")});
  tree.start();
  if (GENERATE(true, false)) {
    CHECK(tree.terminate_child("root", "d") == "ok");
    CHECK(tree.states() == "d:stopped b:running");
    tree.pass(seconds(9));
    CHECK(tree.states() == "d:stopped b:running");
  } else {
    tree.stop();
    CHECK(tree.log({"start", "stop", "over"}) == Log{"over request"});
  }
  CHECK(tree.tree().next_deadline() == std::nullopt);
}

TEST_CASE("a delayed start does not begin while its supervisor ends") {
  ChildSpec slow = child("slow");
  slow.shutdown.timeout = seconds(60);
  const bool asks = GENERATE(false, true);
  Rehearsal tree({delayed("d", seconds(3)), child("b")}, flags(Strategy::one_for_one, 0),
                 asks ? RootEnd::asks : RootEnd::at_once);
  tree.slow_to_stop.insert("root/slow");
  tree.start();
  CHECK(tree.start_child("root", slow) == "ok");
  CHECK(tree.start_child("root", child("short")) == "ok");
  (void)tree.log();
  tree.exit("root/short");  // the supervisor gives up
  tree.pass(seconds(9));
  CHECK(tree.log({"start"}).empty());
  CHECK(tree.state("root/d") == "stopped");
  if (asks) tree.stop();
  tree.exit("root/slow", ExitReason::shutdown);
  CHECK(tree.log({"start", "over"}) == Log{"over intensity"});
  CHECK(tree.tree().next_deadline() == std::nullopt);
}

TEST_CASE("another program continues a delayed start, and knows which manual children run") {
  const ChildSpec root = [] {
    ChildSpec spec = supervisor("root", {manual("m"), manual("n"), delayed("d", seconds(3)), child("b")});
    return spec;
  }();
  Rehearsal tree(root.children);
  tree.start();
  CHECK(tree.restart_child("root", "n") == "ok");
  Tree next(root);
  REQUIRE(next.restore(tree.tree().state(), [](const std::string&, NodeType) { return std::nullopt; }).empty());
  CHECK(next.next_deadline() == tree.now() + seconds(3));
  CHECK(next.view("root/m", tree.now())->state == NodeState::stopped);
  std::size_t started = 0;
  for (const Command& command : next.step(DeadlineReached{}, tree.now() + seconds(3))) {
    if (const auto* start = std::get_if<StartChild>(&command)) {
      ++started;
      CHECK(start->node == next.find("root/d"));
    }
  }
  CHECK(started == 1);
}

TEST_CASE("a child that has ended normally and is not restarted has finished, until it is stopped or started") {
  Rehearsal tree({child("t", Restart::transient), child("a")});
  tree.start();
  CHECK_FALSE(tree.view("root/t")->finished);
  tree.exit("root/t", ExitReason::normal);
  CHECK(tree.view("root/t")->finished);
  CHECK(tree.terminate_child("root", "t") == "ok");
  CHECK_FALSE(tree.view("root/t")->finished);
}

}  // namespace bulkhead::supervision::testing
