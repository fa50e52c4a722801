// Starting, stopping, and the three ways to stop a child.
#include <catch2/catch.hpp>

#include "tests/unit/supervision/rehearsal.h"

namespace bulkhead::supervision::testing {

namespace {

ChildSpec with_shutdown(std::string id, Shutdown::Kind kind, Duration timeout = {}) {
  ChildSpec spec = child(std::move(id));
  spec.shutdown = {kind, timeout};
  return spec;
}

}  // namespace

TEST_CASE("children start in order and stop in reverse, one after another") {
  Rehearsal tree({child("c"), child("a"), child("b")});
  tree.start();
  CHECK(tree.log() ==
        Log{"+ root", "start root/c", "ready root/c", "start root/a", "ready root/a", "start root/b", "ready root/b"});
  tree.stop();
  CHECK(tree.log() == Log{"stop root/b", "stopped root/b", "stop root/a", "stopped root/a", "stop root/c",
                          "stopped root/c", "- root request", "over request"});
}

TEST_CASE("the next child starts only when the one before is ready") {
  Rehearsal tree({child("a"), child("b")});
  tree.slow_to_start = {"root/a"};
  tree.start();
  CHECK(tree.states() == "a:starting b:stopped");
  CHECK(tree.state("root") == "starting");
  tree.ready("root/a");
  CHECK(tree.states() == "a:running b:running");
  CHECK(tree.state("root") == "running");
}

TEST_CASE("a start failure undoes the whole start, at any depth, without a retry") {
  Rehearsal tree({child("a"), supervisor("s", {child("x"), child("y")}), child("b")});
  tree.failing["root/s/y"] = 1;
  tree.start();
  CHECK(tree.log({"+", "-", "stop", "failed", "over"}) == Log{"+ root", "+ root/s", "failed root/s/y", "stop root/s/x",
                                                              "- root/s start_failed", "stop root/a",
                                                              "- root start_failed", "over start_failed"});
  CHECK(tree.chain() == Log{"root/s/y could not be started; so root/s could not start",
                            "root/s could not be started; so root could not start"});
}

TEST_CASE("shutdown modes: a request with a deadline, a request without one, or an immediate kill") {
  struct Row {
    const char* name;
    Shutdown::Kind kind;
    Log at_once;
    Log after_a_while;
  };
  const std::vector<Row> rows{
      {"timeout",
       Shutdown::Kind::timeout,
       {"stop root/a"},
       {"kill root/a", "stopped root/a", "- root request", "over request"}},
      {"infinity", Shutdown::Kind::infinity, {"stop root/a"}, {}},
      {"brutal_kill",
       Shutdown::Kind::brutal_kill,
       {"kill root/a", "stopped root/a", "- root request", "over request"},
       {}},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    Rehearsal tree({with_shutdown("a", row.kind, milliseconds(300))});
    tree.slow_to_stop = {"root/a"};
    tree.start();
    (void)tree.log();
    tree.stop();
    CHECK(tree.log() == row.at_once);
    tree.pass(milliseconds(299));
    CHECK(tree.log().empty());
    tree.pass(milliseconds(1));
    CHECK(tree.log() == row.after_a_while);
    CHECK(tree.tree().next_deadline() == std::nullopt);
  }
}

TEST_CASE("a child that ends in time is not killed later") {
  Rehearsal tree({with_shutdown("a", Shutdown::Kind::timeout, milliseconds(300)), child("b")});
  tree.slow_to_stop = {"root/a"};
  tree.start();
  CHECK(tree.terminate_child("root", "a") == "-");
  tree.pass(milliseconds(200));
  tree.exit("root/a", ExitReason::normal);
  CHECK(tree.answer(tree.last_token()) == "ok");
  CHECK(tree.tree().next_deadline() == std::nullopt);
}

TEST_CASE("a shutdown time that is too long for the clock is infinity") {
  Rehearsal tree({with_shutdown("a", Shutdown::Kind::timeout, Duration::max())});
  tree.slow_to_stop = {"root/a"};
  tree.start();
  tree.stop();
  CHECK(tree.tree().next_deadline() == std::nullopt);
}

TEST_CASE("a stop before the start, and a second stop, are harmless") {
  Rehearsal tree({child("a")});
  tree.stop();
  tree.stop();
  tree.start();
  CHECK(tree.log() == Log{"over request"});
  CHECK(tree.state("root/a") == "gone");
}

TEST_CASE("a stop during the start ends the start of the child that is starting") {
  Rehearsal tree({child("a"), child("b"), child("c")});
  tree.slow_to_start = {"root/b"};
  tree.start();
  (void)tree.log();
  tree.stop();
  CHECK(tree.log() ==
        Log{"stop root/b", "failed root/b", "stop root/a", "stopped root/a", "- root request", "over request"});
}

TEST_CASE("children that exit during the shutdown are not restarted, but a supervisor not reached yet continues") {
  Rehearsal tree({child("a"), supervisor("s", {child("x")}), child("z")});
  tree.slow_to_stop = {"root/z"};
  tree.start();
  tree.stop();
  (void)tree.log();
  tree.exit("root/a");
  tree.exit("root/s/x");
  CHECK(tree.log() ==
        Log{"exit root/a", "exit root/s/x", "restart root/s/x 0 ms #1", "start root/s/x", "ready root/s/x"});
  tree.exit("root/z");
  CHECK(tree.log({"stop", "-", "start"}) == Log{"stop root/s/x", "- root/s parent", "- root request"});
}

TEST_CASE("a tree whose specs OTP would refuse does not start") {
  Rehearsal tree({child("a"), child("a")});
  tree.start();
  CHECK(tree.log() == Log{"over start_failed"});
  CHECK(tree.chain() == Log{"child root: two of its children have the id a"});
}

TEST_CASE("an empty supervisor, also a nested one, is up immediately") {
  Rehearsal tree({supervisor("s", {supervisor("t", {})}), supervisor("u", {})});
  tree.start();
  CHECK(tree.states() == "s:running s/t:running u:running");
  tree.stop();
  CHECK(tree.log({"-"}) == Log{"- root/u parent", "- root/s/t parent", "- root/s parent", "- root request"});
}

TEST_CASE("thousands of supervisors in a row, and a thousand levels, take no deep stack") {
  std::vector<ChildSpec> many;
  for (int i = 0; i < 20'000; ++i) many.push_back(supervisor("s" + std::to_string(i), {}));
  Rehearsal wide(std::move(many));
  wide.start();
  CHECK(wide.state("root/s19999") == "running");

  ChildSpec deep = supervisor("s", {child("x")});
  for (int i = 0; i < 1000; ++i) {
    ChildSpec outer = supervisor("s", {});
    outer.children.push_back(std::move(deep));
    deep = std::move(outer);
  }
  std::vector<ChildSpec> one;
  one.push_back(std::move(deep));
  Rehearsal tower(std::move(one));
  tower.start();
  CHECK(tower.state("root") == "running");
  tower.stop();
  CHECK(tower.state("root") == "stopped");
}

}  // namespace bulkhead::supervision::testing
