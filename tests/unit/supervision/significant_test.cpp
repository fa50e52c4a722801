// significant and auto_shutdown.
#include <catch2/catch.hpp>

#include "tests/unit/supervision/rehearsal.h"

namespace bulkhead::supervision::testing {

namespace {

using E = ExitReason;

SupervisorFlags one_for_one(AutoShutdown auto_shutdown) {
  return flags(Strategy::one_for_one, 3, auto_shutdown);
}

}  // namespace

TEST_CASE("a significant child that is not restarted ends its supervisor, a restarted one does not") {
  struct Row {
    Restart restart;
    ExitReason reason;
    bool ends;
  };
  const std::vector<Row> rows{
      {Restart::transient, E::normal, true},    {Restart::transient, E::shutdown, true},
      {Restart::transient, E::abnormal, false}, {Restart::transient, E::permanent_failure, true},
      {Restart::transient, E::retired, false},  {Restart::temporary, E::normal, true},
      {Restart::temporary, E::abnormal, true},  {Restart::temporary, E::permanent_failure, true},
      {Restart::temporary, E::retired, false},
  };
  for (const Row& row : rows) {
    CAPTURE(static_cast<int>(row.restart), static_cast<int>(row.reason));
    Rehearsal tree({child("a"), significant("b", row.restart), child("c")}, one_for_one(AutoShutdown::any_significant));
    tree.start();
    (void)tree.log();
    tree.exit("root/b", row.reason);
    CHECK(tree.log({"stop", "over"}) == (row.ends ? Log{"stop root/c", "stop root/a", "over auto_shutdown"} : Log{}));
  }
}

TEST_CASE("all_significant waits for the last one, and the chain says which it was") {
  Rehearsal tree({significant("a", Restart::transient), significant("b", Restart::temporary), child("c")},
                 one_for_one(AutoShutdown::all_significant));
  tree.start();
  tree.exit("root/b", E::abnormal);
  CHECK(tree.state("root") == "running");
  tree.exit("root/a", E::normal);
  CHECK(tree.state("root") == "stopped");
  CHECK(tree.chain() == Log{"root/a, the last significant child, ended normally; root shut itself down (auto_shutdown "
                            "all_significant)"});
}

TEST_CASE("terminate_child never triggers, but the stopped child no longer counts as left") {
  Rehearsal tree({significant("a", Restart::transient), significant("b", Restart::transient)},
                 one_for_one(AutoShutdown::all_significant));
  tree.start();
  CHECK(tree.terminate_child("root", "b") == "ok");
  CHECK(tree.state("root") == "running");
  tree.exit("root/a", E::normal);
  CHECK(tree.state("root") == "stopped");
}

TEST_CASE("a significant child that waits for its restart, or is dead but not yet handled, still counts as left") {
  ChildSpec delayed = significant("a", Restart::transient);
  delayed.restart_delay.enabled = true;
  delayed.restart_delay.min = milliseconds(100);
  Rehearsal tree({delayed, significant("b", Restart::transient), significant("c", Restart::transient)},
                 one_for_one(AutoShutdown::all_significant));
  tree.start();
  tree.exit("root/a");
  tree.exit("root/a");
  REQUIRE(tree.state("root/a") == "waiting");
  tree.exit("root/c", E::normal);
  tree.exit("root/b", E::normal);
  CHECK(tree.state("root") == "running");
  tree.pass(seconds(1));
  CHECK(tree.states() == "a:running b:stopped c:stopped");
  tree.exit("root/a", E::normal);
  CHECK(tree.state("root") == "stopped");
}

TEST_CASE("being stopped in a group restart does not trigger, nor does an exit that the restart overtakes") {
  Rehearsal tree({child("a"), significant("b", Restart::transient), child("c")},
                 flags(Strategy::one_for_all, 3, AutoShutdown::any_significant));
  tree.slow_to_stop = {"root/c"};
  tree.start();
  tree.exit("root/a");
  tree.exit("root/b", E::normal);  // while c is being stopped
  tree.exit("root/c");
  CHECK(tree.states() == "a:running b:running c:running");
}

TEST_CASE("one crash beyond the intensity is giving up, not auto_shutdown") {
  Rehearsal tree({significant("a", Restart::transient)},
                 flags(Strategy::one_for_one, 0, AutoShutdown::any_significant));
  tree.start();
  tree.exit("root/a");
  CHECK(tree.log({"over"}) == Log{"over intensity"});
}

TEST_CASE("check_child_spec has OTP's rules for significant children, and ids without duplicates") {
  struct Row {
    ChildSpec spec;
    AutoShutdown parent;
    const char* complaint;
  };
  const std::vector<Row> rows{
      {child("a"), AutoShutdown::never, ""},
      {significant("a", Restart::transient), AutoShutdown::any_significant, ""},
      {significant("a", Restart::temporary), AutoShutdown::all_significant, ""},
      {significant("a", Restart::transient), AutoShutdown::never,
       "child a: significant needs auto_shutdown any_significant or all_significant in its supervisor"},
      {significant("a", Restart::permanent), AutoShutdown::any_significant,
       "child a: a permanent child cannot be significant"},
      {supervisor("s", {child("a"), child("b"), child("a")}), AutoShutdown::never,
       "child s: two of its children have the id a"},
      {supervisor("s", {supervisor("t", {significant("a", Restart::transient)})}), AutoShutdown::never,
       "child a: significant needs auto_shutdown any_significant or all_significant in its supervisor"},
      {child(""), AutoShutdown::never, "a child has an empty id"},
      {child("a/b"), AutoShutdown::never, "child a/b: an id must not contain a slash, which joins paths"},
  };
  for (const Row& row : rows) CHECK(check_child_spec(row.spec, row.parent) == row.complaint);
}

}  // namespace bulkhead::supervision::testing
