// Siblings go on while one of them stops, starts or is tried again: what waits for what, and in which order.
#include <catch2/catch.hpp>

#include "tests/unit/supervision/rehearsal.h"

namespace bulkhead::supervision::testing {

namespace {

constexpr auto kAnyStrategy = {Strategy::one_for_one, Strategy::rest_for_one, Strategy::one_for_all};

std::string waits_for(Rehearsal& tree, const std::string& path) {
  const auto busy = tree.tree().waits_for(tree.view(path)->id);
  return busy ? tree.tree().node(*busy, tree.now())->path : "";
}

}  // namespace

TEST_CASE("a sibling that stops for an hour or starts for a minute holds nobody up under one_for_one") {
  Rehearsal tree({child("slow"), child("a"), child("b")}, flags(Strategy::one_for_one, 9));
  tree.start();
  const bool stops = GENERATE(true, false);
  if (stops) {
    tree.slow_to_stop = {"root/slow"};
    CHECK(tree.terminate_child("root", "slow") == "-");
  } else {
    tree.slow_to_start = {"root/slow"};
    tree.exit("root/slow");
  }
  (void)tree.log();
  tree.exit("root/a");
  CHECK(tree.log() ==
        Log{"exit root/a", std::string("restart root/a 0 ms #") + (stops ? "1" : "2"), "start root/a", "ready root/a"});
  CHECK(tree.terminate_child("root", "b") == "ok");
  CHECK(tree.restart_child("root", "b") == "ok");
  CHECK(tree.start_child("root", child("c")) == "ok");
  CHECK(tree.terminate_child("root", "c") == "ok");
  CHECK(tree.delete_child("root", "c") == "ok");
  CHECK(tree.states() == std::string("slow:") + (stops ? "stopping" : "starting") + " a:running b:running");
}

TEST_CASE("what waits for a child that starts is handled as soon as it is up, even if its siblings still start") {
  Rehearsal tree({child("a"), child("b")});
  tree.slow_to_start = {"root/a", "root/b"};
  tree.start();
  CHECK(tree.restart_child("root", "a") == "-");
  tree.ready("root/a");
  CHECK(tree.state("root/b") == "starting");
  CHECK(tree.answer(tree.last_token()) == "running");
}

TEST_CASE("what concerns the same child waits, and is handled in order of arrival") {
  Rehearsal tree({child("a"), child("b")});
  tree.slow_to_stop = {"root/a"};
  tree.start();
  CHECK(tree.terminate_child("root", "a") == "-");
  CHECK(tree.restart_child("root", "a") == "-");
  CHECK(tree.delete_child("root", "a") == "-");
  CHECK(tree.delete_child("root", "b") == "running");
  tree.exit("root/a");
  CHECK(tree.answer(1) == "ok");
  CHECK(tree.answer(2) == "ok");
  CHECK(tree.answer(3) == "running");
  CHECK(tree.states() == "a:running b:running");
}

TEST_CASE("a group restart occupies its group, and an exit in it waits") {
  Rehearsal tree({child("before"), child("a"), child("b")}, flags(Strategy::rest_for_one, 9));
  tree.slow_to_stop = {"root/b"};
  tree.start();
  tree.exit("root/a");
  CHECK(tree.states() == "before:running a:restarting b:stopping");
  CHECK(waits_for(tree, "root/a") == "root/b");
  CHECK(tree.restart_child("root", "before") == "running");
  CHECK(tree.delete_child("root", "a") == "restarting");
  CHECK(tree.terminate_child("root", "b") == "-");
  (void)tree.log();
  tree.exit("root/before");  // its group is everything
  CHECK(tree.log() == Log{"exit root/before"});
  CHECK(waits_for(tree, "root/before") == "root/b");
  tree.slow_to_stop.clear();
  tree.exit("root/b");
  CHECK(tree.states() == "before:running a:running b:running");
  CHECK(waits_for(tree, "root/before").empty());
}

TEST_CASE("an operator's stop of one child makes a group restart wait that would touch it") {
  Rehearsal tree({child("a"), child("b")}, flags(Strategy::one_for_all, 9));
  tree.slow_to_stop = {"root/b"};
  tree.start();
  CHECK(tree.terminate_child("root", "b") == "-");
  tree.exit("root/a");
  CHECK(tree.states() == "a:stopped b:stopping");
  CHECK(waits_for(tree, "root/a") == "root/b");
  tree.slow_to_stop.clear();
  tree.exit("root/b");
  CHECK(tree.answer(1) == "ok");
  CHECK(tree.states() == "a:running b:running");
}

TEST_CASE("the supervisor's own end interrupts everything") {
  for (const Strategy strategy : kAnyStrategy) {
    Rehearsal tree({child("a"), child("b"), child("c"), child("d")}, flags(strategy, 9));
    tree.start();
    tree.slow_to_start = {"root/a"};
    tree.slow_to_stop = {"root/b"};
    CHECK(tree.terminate_child("root", "b") == "-");
    tree.exit("root/a");
    CHECK(tree.restart_child("root", "b") == "-");
    (void)tree.log();
    tree.stop();
    CHECK(tree.log({"stop"}) == Log{"stop root/d", "stop root/c"});
    tree.exit("root/b");
    CHECK(tree.answer(1) == "ok");
    CHECK(tree.answer(2) == "noproc");
    CHECK(tree.state("root") == "stopped");
  }
}

TEST_CASE("giving up ends a start that an operator has asked for, which is reported as failed") {
  Rehearsal tree({child("a"), child("b")}, flags(Strategy::one_for_one, 0));
  tree.start();
  CHECK(tree.terminate_child("root", "a") == "ok");
  tree.slow_to_start = {"root/a"};
  CHECK(tree.restart_child("root", "a") == "-");
  (void)tree.log();
  tree.exit("root/b");
  CHECK(tree.log() ==
        Log{"exit root/b", "exceeded root/b", "stop root/a", "failed root/a", "- root intensity", "over intensity"});
  CHECK(tree.answer(tree.last_token()) == "noproc");
}

TEST_CASE("giving up waits for a restart that is being attempted, as in OTP") {
  Rehearsal tree({child("a"), child("b")}, flags(Strategy::one_for_one, 1));
  tree.start();
  tree.slow_to_start = {"root/a"};
  tree.exit("root/a");
  tree.exit("root/b");
  CHECK(tree.states() == "a:starting b:stopped");
  CHECK(waits_for(tree, "root/b") == "root/a");
  (void)tree.log();
  tree.ready("root/a");
  CHECK(tree.log() ==
        Log{"ready root/a", "exceeded root/b", "stop root/a", "stopped root/a", "- root intensity", "over intensity"});
}

TEST_CASE("the same holds during the first start under one_for_one") {
  Rehearsal tree({child("a"), child("slow"), child("z")}, flags(Strategy::one_for_one, 9));
  tree.slow_to_start = {"root/slow"};
  tree.start();
  CHECK(tree.states() == "a:running slow:starting z:stopped");
  CHECK(waits_for(tree, "root/z") == "root/slow");
  tree.exit("root/a");
  CHECK(tree.states() == "a:running slow:starting z:stopped");
  CHECK(tree.terminate_child("root", "a") == "ok");
  CHECK(tree.restart_child("root", "slow") == "-");
  SECTION("ready") {
    tree.ready("root/slow");
    CHECK(tree.answer(tree.last_token()) == "running");
    CHECK(tree.states() == "a:stopped slow:running z:running");
  }
  SECTION("an operator ends the start: the others are started") {
    CHECK(tree.terminate_child("root", "slow") == "-");  // behind the other operation
    tree.ready("root/slow");
    CHECK(tree.answer(tree.last_token()) == "ok");
    CHECK(tree.states() == "a:stopped slow:stopped z:running");
  }
  SECTION("a stop") {
    tree.stop();
    CHECK(tree.log({"failed", "over"}) == Log{"failed root/slow", "over request"});
  }
}

TEST_CASE("an operator's stop of a child that is starting for the first time does not end its supervisor") {
  Rehearsal tree({child("slow"), child("later"), child("z")});
  tree.slow_to_start = {"root/slow"};
  tree.start();
  CHECK(tree.terminate_child("root", "later") == "ok");  // it is not started at all
  (void)tree.log();
  CHECK(tree.terminate_child("root", "slow") == "ok");
  CHECK(tree.log() == Log{"stop root/slow", "failed root/slow", "start root/z", "ready root/z"});
  CHECK(tree.states() == "slow:stopped later:stopped z:running");
  CHECK(tree.state("root") == "running");
}

TEST_CASE("under the other strategies the first start occupies everything") {
  Rehearsal tree({child("a"), child("slow")}, flags(Strategy::rest_for_one, 9));
  tree.slow_to_start = {"root/slow"};
  tree.start();
  (void)tree.log();
  tree.exit("root/a");
  CHECK(tree.log() == Log{"exit root/a"});
  CHECK(tree.terminate_child("root", "a") == "-");
  tree.slow_to_start.clear();
  tree.ready("root/slow");
  CHECK(tree.answer(1) == "ok");
}

TEST_CASE("auto_shutdown does not cut the first start short, which would look like a failed start") {
  Rehearsal tree({significant("once", Restart::transient), child("slow")},
                 flags(Strategy::one_for_one, 9, AutoShutdown::any_significant));
  tree.slow_to_start = {"root/slow"};
  tree.start();
  tree.exit("root/once", ExitReason::normal);
  CHECK(tree.state("root") == "starting");
  tree.ready("root/slow");
  CHECK(tree.log({"over"}) == Log{"over auto_shutdown"});
}

TEST_CASE("a supervisor that gives up during its first start has failed to start") {
  Rehearsal tree({supervisor("s", {child("x"), child("slow")}, flags(Strategy::one_for_one, 0)), child("b")});
  tree.start();
  tree.slow_to_start = {"root/s/slow"};
  tree.exit("root/s/slow");  // s gives up, and root restarts it
  (void)tree.log();
  tree.exit("root/s/x");
  CHECK(tree.log({"failed", "-", "restart"}) ==
        Log{"failed root/s/slow", "- root/s intensity", "restart root/s 0 ms #2"});
}

TEST_CASE("an operator's stop ends a restart attempt") {
  Rehearsal tree({child("a"), child("b")}, flags(Strategy::one_for_one, 9));
  tree.start();
  tree.slow_to_start = {"root/a"};
  tree.exit("root/a");
  CHECK(tree.restart_child("root", "a") == "restarting");
  CHECK(tree.delete_child("root", "a") == "restarting");
  CHECK(tree.start_child("root", child("a")) == "already_present");
  (void)tree.log();
  tree.slow_to_stop = {"root/a"};
  CHECK(tree.terminate_child("root", "a") == "-");
  CHECK(tree.restart_child("root", "a") == "-");
  CHECK(tree.state("root/a") == "stopping");
  tree.slow_to_start.clear();
  tree.exit("root/a");
  CHECK(tree.answer(tree.last_token() - 1) == "ok");
  CHECK(tree.answer(tree.last_token()) == "ok");
  CHECK(tree.log({"stop", "failed", "start", "restart"}) == Log{"stop root/a", "failed root/a", "start root/a"});
  CHECK(tree.states() == "a:running b:running");
}

TEST_CASE("a child that is withdrawn while its group restarts leaves the others to be started") {
  Rehearsal tree({child("a"), child("b"), child("c")}, flags(Strategy::rest_for_one, 9));
  tree.start();
  tree.slow_to_start = {"root/a", "root/b", "root/c"};
  const std::string starting = GENERATE("root/a", "root/b");
  tree.exit("root/a");
  if (starting == "root/b") tree.ready("root/a");
  CHECK(tree.withdraw_child("root", starting.substr(5)) == "ok");
  for (const char* other : {"root/b", "root/c"}) {
    if (other != starting) tree.ready(other);
  }
  CHECK(tree.states() == (starting == "root/a" ? "a:stopped b:running c:running" : "a:running b:stopped c:running"));
  (void)tree.log();
  tree.pass(std::chrono::minutes(1));
  CHECK(tree.log().empty());
}

TEST_CASE("a start that does not obey is killed after its shutdown time") {
  ChildSpec stubborn = child("a");
  stubborn.shutdown = {Shutdown::Kind::timeout, seconds(2)};
  Rehearsal tree({stubborn});
  tree.start();
  tree.slow_to_start = {"root/a"};
  tree.slow_to_stop = {"root/a"};
  tree.exit("root/a");
  CHECK(tree.terminate_child("root", "a") == "-");
  (void)tree.log();
  tree.pass(seconds(2));
  CHECK(tree.log() == Log{"kill root/a", "failed root/a"});
  CHECK(tree.answer(1) == "ok");
}

TEST_CASE("which_children answers during a restart attempt") {
  Tree tree(supervisor("root", {child("a"), child("b")}));
  const auto step = [&tree](const Event& event) { return tree.step(event, Instant{}); };
  (void)step(Start{});
  for (const char* path : {"root/a", "root/b"}) {
    const NodeView node = *tree.view(path, Instant{});
    (void)step(ChildReady{node.id, node.run});
  }
  const NodeView a = *tree.view("root/a", Instant{});
  (void)step(ChildExited{a.id, a.run, ExitReason::abnormal});
  for (const Command& command : step(OperationRequested{7, Operation::which_children, "root", {}, {}})) {
    const auto* reply = std::get_if<Reply>(&command);
    REQUIRE(reply != nullptr);
    CHECK(reply->children.at(0).state == NodeState::restarting);
    CHECK(reply->children.at(1).state == NodeState::running);
  }
}

TEST_CASE("an operator's stop of a nested supervisor that is starting ends what it starts") {
  Rehearsal tree({child("a")});
  tree.start();
  tree.slow_to_start = {"root/s/y"};
  CHECK(tree.start_child("root", supervisor("s", {child("x"), child("y")})) == "-");
  (void)tree.log();
  CHECK(tree.terminate_child("root", "s") == "not_found");  // a child that could not be added leaves no entry
  CHECK(tree.log({"stop", "failed", "-"}) ==
        Log{"stop root/s/y", "failed root/s/y", "stop root/s/x", "- root/s parent"});
  CHECK(tree.answer(1) == "start_failed");
  CHECK(tree.states() == "a:running");
}

TEST_CASE("a significant child that an operator is stopping is not left any more") {
  Rehearsal tree({significant("a", Restart::transient), significant("b", Restart::transient)},
                 flags(Strategy::one_for_one, 9, AutoShutdown::all_significant));
  tree.start();
  tree.slow_to_stop = {"root/a"};
  CHECK(tree.terminate_child("root", "a") == "-");
  tree.exit("root/b", ExitReason::normal);
  CHECK(tree.state("root") == "stopping");
  tree.exit("root/a");
  CHECK(tree.log({"over"}) == Log{"over auto_shutdown"});
  CHECK(tree.answer(1) == "ok");
}

}  // namespace bulkhead::supervision::testing
