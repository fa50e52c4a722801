// Delayed restarts, which OTP does not have.
#include "master/supervision/restart_delay.h"

#include <catch2/catch.hpp>

#include "tests/unit/supervision/rehearsal.h"

namespace bulkhead::supervision::testing {

namespace {

RestartDelay policy() {
  RestartDelay delay;
  delay.enabled = true;
  delay.min = milliseconds(100);
  delay.jitter = 0;
  return delay;
}

ChildSpec delayed(std::string id, RestartDelay delay = policy()) {
  ChildSpec spec = child(std::move(id));
  spec.restart_delay = delay;
  return spec;
}

milliseconds in_ms(Duration duration) {
  return std::chrono::duration_cast<milliseconds>(duration);
}

}  // namespace

TEST_CASE("the first restart is immediate, then min, min times factor, up to max") {
  Backoff backoff;
  Jitter jitter(1);
  RestartDelay delay = policy();
  delay.max = milliseconds(1000);
  std::vector<milliseconds> delays;
  for (int i = 0; i < 7; ++i) delays.push_back(in_ms(backoff.next(delay, seconds(59), jitter)));
  using M = milliseconds;
  CHECK(delays == std::vector{M(0), M(100), M(200), M(400), M(800), M(1000), M(1000)});
}

TEST_CASE("a run of reset_after starts the delays over, and so does an operator") {
  Backoff backoff;
  Jitter jitter(1);
  for (int i = 0; i < 5; ++i) (void)backoff.next(policy(), std::nullopt, jitter);
  CHECK(backoff.next(policy(), seconds(60), jitter) == Duration::zero());
  CHECK(in_ms(backoff.next(policy(), seconds(59), jitter)) == milliseconds(100));
  backoff.forget();
  CHECK(backoff.next(policy(), seconds(1), jitter) == Duration::zero());
}

TEST_CASE("immediate_after_ready restarts at once after a stable run, and only then") {
  RestartDelay worker = policy();
  worker.immediate_after_ready = true;
  Backoff backoff;
  Jitter jitter(1);
  for (int i = 0; i < 5; ++i) CHECK(backoff.next(worker, seconds(1), jitter) == Duration::zero());
  CHECK(backoff.next(worker, milliseconds(999), jitter) == Duration::zero());  // the first restart
  CHECK(in_ms(backoff.next(worker, milliseconds(999), jitter)) == milliseconds(100));
  CHECK(in_ms(backoff.next(worker, std::nullopt, jitter)) == milliseconds(200));
  CHECK(backoff.next(worker, seconds(1), jitter) == Duration::zero());
}

TEST_CASE("jitter changes a delay by up to its share, varies, and never exceeds max") {
  RestartDelay delay = policy();
  delay.jitter = 0.1;
  delay.max = milliseconds(400);
  Jitter jitter(42);
  std::set<Duration> seen;
  for (int i = 0; i < 200; ++i) {
    Backoff backoff;
    (void)backoff.next(delay, std::nullopt, jitter);
    const Duration first = backoff.next(delay, std::nullopt, jitter);
    CHECK(first >= milliseconds(90));
    CHECK(first <= milliseconds(110));
    seen.insert(first);
    for (int more = 0; more < 5; ++more) CHECK(backoff.next(delay, std::nullopt, jitter) <= delay.max);
  }
  CHECK(seen.size() > 100);
}

TEST_CASE("delays stay in range after any number of restarts, with any factor") {
  Jitter jitter(7);
  for (const double factor : {1.0, 2.0, 1e300}) {
    RestartDelay delay = policy();
    delay.factor = factor;
    delay.max = Duration::max();
    Backoff backoff;
    Duration last{};
    for (int i = 0; i < 3000; ++i) last = backoff.next(delay, std::nullopt, jitter);
    CHECK(last == (factor > 1 ? Duration::max() : Duration(milliseconds(100))));
  }
}

TEST_CASE("a delayed restart is counted when it is decided, waits, and blocks no sibling") {
  Rehearsal tree({delayed("a"), child("b")}, flags(Strategy::one_for_one, 9));
  tree.start();
  tree.exit("root/a");
  CHECK(tree.state("root/a") == "running");
  (void)tree.log();
  tree.exit("root/a");
  CHECK(tree.log() == Log{"exit root/a", "restart root/a 100 ms #2"});
  CHECK(tree.states() == "a:waiting b:running");
  CHECK(tree.view("root/a")->due == tree.now() + milliseconds(100));
  CHECK(tree.view("root")->restarts_in_window == 2);
  tree.exit("root/b");
  CHECK(tree.log({"start"}) == Log{"start root/b"});
  tree.pass(milliseconds(99));
  CHECK(tree.state("root/a") == "waiting");
  tree.pass(milliseconds(1));
  CHECK(tree.log({"restart", "start"}) == Log{"start root/a"});
  CHECK(tree.view("root")->restarts_in_window == 3);
  CHECK_FALSE(tree.view("root/a")->due);
}

TEST_CASE("retries of a failing start are delayed too, and a child that never starts still ends its supervisor") {
  Rehearsal tree({delayed("a")}, flags(Strategy::one_for_one, 3));
  tree.start();
  tree.failing["root/a"] = 99;
  (void)tree.log();
  tree.exit("root/a");
  tree.pass(seconds(2));
  CHECK(tree.log({"restart", "failed", "over"}) == Log{"restart root/a 0 ms #1", "failed root/a",
                                                       "restart root/a 100 ms #2", "failed root/a",
                                                       "restart root/a 200 ms #3", "failed root/a", "over intensity"});
}

TEST_CASE("without a limit and without a delay, a start that keeps failing is tried again every 100 ms") {
  SupervisorFlags endless = flags(Strategy::one_for_one);
  endless.max_restarts.reset();
  Rehearsal tree({child("a")}, endless);
  tree.start();
  tree.failing["root/a"] = 99;
  (void)tree.log();
  tree.exit("root/a");
  tree.pass(milliseconds(250));
  CHECK(tree.log({"restart", "failed"}) == Log{"restart root/a 0 ms #1", "failed root/a", "restart root/a 100 ms #2",
                                               "failed root/a", "restart root/a 100 ms #3", "failed root/a",
                                               "restart root/a 100 ms #4"});
  CHECK(tree.state("root/a") == "waiting");
}

TEST_CASE("a restart that meets a shortage waits 100 ms to 5 s, and is counted once") {
  Rehearsal tree({child("a"), child("b")}, flags(Strategy::one_for_one, 1));
  tree.start();
  tree.starving = true;
  (void)tree.log();
  tree.exit("root/a");
  CHECK(tree.log() ==
        Log{"exit root/a", "restart root/a 0 ms #1", "start root/a", "failed root/a", "postponed root/a 100 ms"});
  CHECK(tree.states() == "a:waiting b:running");
  tree.pass(seconds(20));
  CHECK(tree.log({"postponed"}) == Log{"postponed root/a 200 ms", "postponed root/a 400 ms", "postponed root/a 800 ms",
                                       "postponed root/a 1600 ms", "postponed root/a 3200 ms",
                                       "postponed root/a 5000 ms", "postponed root/a 5000 ms",
                                       "postponed root/a 5000 ms"});
  tree.starving = false;
  tree.pass(seconds(5));
  CHECK(tree.states() == "a:running b:running");
  tree.starving = true;
  tree.exit("root/b");
  CHECK(tree.log({"restart", "postponed"}) == Log{"restart root/b 0 ms #1", "postponed root/b 100 ms"});
}

TEST_CASE("a nested supervisor whose start meets a shortage is not counted either") {
  ChildSpec inner = supervisor("s", {child("x"), child("y")}, flags(Strategy::one_for_one, 0));
  Rehearsal tree({inner, child("b")}, flags(Strategy::one_for_one, 1));
  tree.start();
  tree.starving = true;
  tree.exit("root/s/x");
  CHECK(tree.states() == "s:waiting b:running");
  tree.pass(seconds(10));
  CHECK(tree.states() == "s:waiting b:running");
  tree.starving = false;
  tree.pass(seconds(5));
  CHECK(tree.states() == "s:running s/x:running s/y:running b:running");
}

TEST_CASE("a shortage at the first start, or when an operator starts something, is a failure at once") {
  Rehearsal first({child("a")});
  first.starving = true;
  first.start();
  CHECK(first.log({"over"}) == Log{"over start_failed"});
  Rehearsal tree({child("a")});
  tree.start();
  CHECK(tree.terminate_child("root", "a") == "ok");
  tree.starving = true;
  CHECK(tree.restart_child("root", "a") == "start_failed");
  CHECK(tree.start_child("root", child("b")) == "start_failed");
  CHECK(tree.states() == "a:stopped");
}

TEST_CASE("an operator's stop ends the wait for processes") {
  Rehearsal tree({child("a")});
  tree.start();
  tree.starving = true;
  tree.exit("root/a");
  CHECK(tree.restart_child("root", "a") == "restarting");
  CHECK(tree.terminate_child("root", "a") == "ok");
  tree.pass(seconds(10));
  CHECK(tree.states() == "a:stopped");
}

TEST_CASE("a delayed group restart stops the group at once, waits, and then starts it") {
  Rehearsal tree({delayed("a"), child("b"), child("t", Restart::temporary)}, flags(Strategy::one_for_all, 9));
  tree.start();
  tree.exit("root/a");
  tree.slow_to_stop = {"root/b"};
  (void)tree.log();
  tree.exit("root/a");
  CHECK(tree.states() == "a:restarting b:stopping");
  tree.pass(milliseconds(500));
  tree.exit("root/b");
  CHECK(tree.states() == "a:waiting b:stopped");
  CHECK(tree.view("root/a")->due == tree.now() + milliseconds(100));
  (void)tree.log();
  tree.pass(milliseconds(100));
  CHECK(tree.log({"start", "stop", "restart"}) == Log{"start root/a", "start root/b"});
}

TEST_CASE("a group restart of siblings starts a waiting child anyway") {
  Rehearsal tree({child("a"), delayed("b"), child("c")}, flags(Strategy::rest_for_one, 9));
  tree.start();
  tree.exit("root/b");
  tree.exit("root/b");
  REQUIRE(tree.states() == "a:running b:waiting c:stopped");
  tree.exit("root/a");
  CHECK(tree.states() == "a:running b:running c:running");
  CHECK(tree.tree().next_deadline() == std::nullopt);
}

TEST_CASE("a sibling started by hand during the delay is stopped again when the group starts") {
  Rehearsal tree({delayed("a"), child("b")}, flags(Strategy::one_for_all, 9));
  tree.start();
  tree.exit("root/a");
  tree.exit("root/a");
  CHECK(tree.restart_child("root", "b") == "ok");
  (void)tree.log();
  tree.pass(milliseconds(100));
  CHECK(tree.log({"start", "stop"}) == Log{"stop root/b", "start root/a", "start root/b"});
}

TEST_CASE("a start by an operator begins a new history of delays") {
  Rehearsal tree({delayed("a")}, flags(Strategy::one_for_one, 9));
  tree.start();
  tree.exit("root/a");
  tree.exit("root/a");
  CHECK(tree.terminate_child("root", "a") == "ok");
  CHECK(tree.restart_child("root", "a") == "ok");
  tree.exit("root/a");
  CHECK(tree.state("root/a") == "running");
}

TEST_CASE("a delay that ends while its group is occupied takes effect afterwards") {
  Rehearsal tree({delayed("a"), child("b")}, flags(Strategy::one_for_all, 9));
  tree.start();
  tree.exit("root/a");
  tree.exit("root/a");
  CHECK(tree.restart_child("root", "b") == "ok");
  tree.slow_to_stop = {"root/b"};
  CHECK(tree.terminate_child("root", "b") == "-");
  tree.pass(seconds(1));
  CHECK(tree.state("root/a") == "waiting");
  CHECK(tree.tree().next_deadline() == tree.now() + seconds(4));  // only the kill of b
  tree.exit("root/b");
  CHECK(tree.states() == "a:running b:running");
}

TEST_CASE("a shutdown, an escalation and terminate_child end a delay") {
  SECTION("shutdown") {
    Rehearsal tree({delayed("a"), child("b")}, flags(Strategy::one_for_one, 9));
    tree.start();
    tree.exit("root/a");
    tree.exit("root/a");
    (void)tree.log();
    tree.stop();
    CHECK(tree.log({"start", "stop", "over"}) == Log{"stop root/b", "over request"});
    CHECK(tree.tree().next_deadline() == std::nullopt);
  }
  SECTION("escalation") {
    Rehearsal tree({delayed("a"), child("b")}, flags(Strategy::one_for_one, 2));
    tree.start();
    tree.exit("root/a");
    tree.exit("root/a");
    tree.exit("root/b");
    CHECK(tree.state("root") == "stopped");
    CHECK(tree.tree().next_deadline() == std::nullopt);
  }
  SECTION("terminate_child does not wait for a sibling") {
    Rehearsal tree({delayed("a"), child("b")}, flags(Strategy::one_for_one, 9));
    tree.start();
    tree.exit("root/a");
    tree.exit("root/a");
    tree.slow_to_stop = {"root/b"};
    CHECK(tree.terminate_child("root", "b") == "-");
    CHECK(tree.terminate_child("root", "a") == "ok");
    tree.pass(seconds(1));
    tree.exit("root/b");
    CHECK(tree.states() == "a:stopped b:stopped");
  }
}

TEST_CASE("a nested supervisor can wait for its restart as well") {
  ChildSpec nested = supervisor("s", {child("x")}, flags(Strategy::one_for_one, 0));
  nested.restart_delay = policy();
  Rehearsal tree({nested}, flags(Strategy::one_for_one, 9));
  tree.start();
  tree.exit("root/s/x");
  tree.exit("root/s/x");
  CHECK(tree.states() == "s:waiting");
  CHECK(tree.restart_child("root/s", "x") == "noproc");
  tree.pass(milliseconds(100));
  CHECK(tree.states() == "s:running s/x:running");
}

}  // namespace bulkhead::supervision::testing
