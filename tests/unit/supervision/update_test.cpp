// New specs for a running tree: OTP's code change of a supervisor.
#include <catch2/catch.hpp>

#include "tests/unit/supervision/rehearsal.h"

namespace bulkhead::supervision::testing {

TEST_CASE("new flags apply immediately, and counted restarts stay counted") {
  Rehearsal tree({child("a"), child("b")}, flags(Strategy::one_for_one, 3));
  tree.start();
  tree.exit("root/a");
  (void)tree.log();
  tree.update(supervisor("root", {child("a"), child("b")}, flags(Strategy::one_for_all, 1)));
  CHECK(tree.log().empty());
  tree.exit("root/a");
  CHECK(tree.log({"exceeded"}) == Log{"exceeded root/a"});
}

TEST_CASE("a new strategy decides about the next end") {
  Rehearsal tree({child("a"), child("b")}, flags(Strategy::one_for_one));
  tree.start();
  tree.update(supervisor("root", {child("a"), child("b")}, flags(Strategy::one_for_all)));
  (void)tree.log();
  tree.exit("root/a");
  CHECK(tree.log({"stop", "start"}) == Log{"stop root/b", "start root/a", "start root/b"});
}

TEST_CASE("a new restart type decides about the next end") {
  Rehearsal tree({child("a"), child("b")});
  tree.start();
  tree.update(supervisor("root", {child("a", Restart::temporary), child("b")}));
  tree.exit("root/a");
  CHECK_FALSE(tree.view("root/a"));
}

TEST_CASE("a restart of a group that is under way starts whoever is still in the list when it has stopped") {
  Rehearsal tree({child("a"), child("b"), child("c", Restart::temporary)}, flags(Strategy::one_for_all));
  tree.slow_to_stop = {"root/c"};
  tree.start();
  tree.exit("root/a");
  (void)tree.log();
  SECTION("one that has become temporary is started once more, as if the new spec had come afterwards") {
    tree.update(supervisor("root", {child("a"), child("b", Restart::temporary), child("c", Restart::temporary)},
                           flags(Strategy::one_for_all)));
    tree.exit("root/c");
    CHECK(tree.log({"start", "removed"}) == Log{"removed root/c", "start root/a", "start root/b"});
    tree.exit("root/a");
    CHECK(tree.log({"start", "removed"}) == Log{"removed root/b", "start root/a"});
  }
  SECTION("one that is no longer temporary stays") {
    tree.update(supervisor("root", {child("a"), child("b"), child("c")}, flags(Strategy::one_for_all)));
    tree.exit("root/c");
    CHECK(tree.log({"start", "removed"}) == Log{"start root/a", "start root/b", "start root/c"});
  }
}

TEST_CASE("entries missing in the new specs run until their supervisor restarts; added ones begin then") {
  Rehearsal tree({supervisor("web", {child("a"), child("b")}), child("z")}, flags(Strategy::one_for_all));
  tree.start();
  tree.update(
      supervisor("root", {supervisor("web", {child("a"), child("c")}), child("z")}, flags(Strategy::one_for_all)));
  CHECK(tree.view("root/web/b"));
  CHECK_FALSE(tree.view("root/web/c"));
  tree.exit("root/z");
  CHECK_FALSE(tree.view("root/web/b"));
  CHECK(tree.view("root/web/c"));
}

TEST_CASE("an entry of another type under the same id is left alone") {
  Rehearsal tree({child("a")});
  tree.start();
  tree.update(supervisor("root", {supervisor("a", {})}));
  CHECK(tree.view("root/a")->spec->type == NodeType::process);
}

TEST_CASE("an update gives the children its order, and children that are not in it come last") {
  Rehearsal tree({child("a"), child("b"), child("c")}, flags(Strategy::rest_for_one));
  tree.start();
  tree.update(supervisor("root", {child("c"), child("new"), child("a")}, flags(Strategy::rest_for_one)));
  CHECK(tree.states() == "c:running a:running b:running");
  (void)tree.log();
  tree.exit("root/a");
  CHECK(tree.log({"stop", "start"}) == Log{"stop root/b", "start root/a", "start root/b"});
  tree.stop();
  CHECK(tree.log({"stop"}) == Log{"stop root/b", "stop root/a", "stop root/c"});
}

TEST_CASE("other children of a supervisor begin with its next start, whatever starts it") {
  const auto team = [](std::vector<ChildSpec> children) { return supervisor("team", std::move(children)); };
  Rehearsal tree({supervisor("web", {team({child("1"), child("2")}), child("z")}), child("y")},
                 flags(Strategy::one_for_all, 9));
  tree.start();
  tree.tree().set_children("root/web/team", {child("1"), child("2"), child("3")});
  tree.tree().set_children("root/nobody", {child("1")});
  CHECK_FALSE(tree.view("root/web/team/3"));
  SECTION("an operator") {
    CHECK(tree.terminate_child("root/web", "team") == "ok");
    CHECK(tree.restart_child("root/web", "team") == "ok");
  }
  SECTION("its supervisor's supervisor, with all its children") {
    tree.exit("root/y");
  }
  CHECK(tree.state("root/web/team/3") == "running");
  CHECK(tree.state("root/web/z") == "running");
}

TEST_CASE("an update of one entry leaves the others alone") {
  Rehearsal tree({child("a"), child("b")});
  tree.start();
  tree.tree().update("root/a", child("a", Restart::temporary));
  tree.tree().update("root/nobody", child("nobody"));
  tree.exit("root/a");
  tree.exit("root/b");
  CHECK_FALSE(tree.view("root/a"));
  CHECK(tree.state("root/b") == "running");
}

}  // namespace bulkhead::supervision::testing
