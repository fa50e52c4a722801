// The operations of an operator: OTP's answers, for every state of the child.
#include <catch2/catch.hpp>

#include "tests/unit/supervision/rehearsal.h"

namespace bulkhead::supervision::testing {

namespace {

// A tree whose child `a` is in the given state: running, restarting (between two attempts), waiting, stopped, failed,
// gone. For `restarting`, an attempt is under way, which then fails unless the operation has ended it.
struct Stage {
  explicit Stage(const std::string& state) : tree({with_delay(state), child("z")}, flags(Strategy::one_for_one, 9)) {
    tree.start();
    if (state == "stopped") (void)tree.terminate_child("root", "a");
    if (state == "failed") tree.exit("root/a", ExitReason::permanent_failure);
    if (state == "gone") tree.exit("root/a", ExitReason::permanent_failure), (void)tree.delete_child("root", "a");
    if (state == "waiting") tree.exit("root/a"), tree.exit("root/a");
    if (state == "restarting") {
      tree.slow_to_start = {"root/a"};
      tree.exit("root/a");
      trying = true;
    }
    REQUIRE((trying || tree.state("root/a") == state));
  }

  static ChildSpec with_delay(const std::string& state) {
    ChildSpec spec = child("a");
    spec.restart_delay.enabled = state == "waiting";
    return spec;
  }

  std::string settled(const std::string& answer) {
    tree.slow_to_start.clear();
    if (tree.state("root/a") == "starting") tree.start_fails("root/a");
    return answer;
  }

  Rehearsal tree;
  bool trying = false;
};

}  // namespace

TEST_CASE("every operation answers as OTP does in every state, and leaves the child as OTP does") {
  struct Row {
    const char* state;
    const char* terminate;
    const char* restart;
    const char* remove;
    const char* start;
    const char* after_terminate;
    const char* after_restart;
    const char* after_delete;
  };
  const std::vector<Row> rows{
      {"running", "ok", "running", "running", "already_started", "stopped", "running", "running"},
      {"restarting", "ok", "restarting", "restarting", "already_present", "stopped", "running", "running"},
      {"waiting", "ok", "restarting", "restarting", "already_present", "stopped", "waiting", "waiting"},
      {"stopped", "ok", "ok", "ok", "already_present", "stopped", "running", "gone"},
      {"failed", "ok", "ok", "ok", "already_present", "failed", "running", "gone"},
      {"gone", "not_found", "not_found", "not_found", "ok", "gone", "gone", "gone"},
  };
  for (const Row& row : rows) {
    INFO(row.state);
    Stage terminate(row.state);
    CHECK(terminate.settled(terminate.tree.terminate_child("root", "a")) == row.terminate);
    CHECK(terminate.tree.state("root/a") == row.after_terminate);
    Stage restart(row.state);
    CHECK(restart.settled(restart.tree.restart_child("root", "a")) == row.restart);
    CHECK(restart.tree.state("root/a") == row.after_restart);
    Stage remove(row.state);
    CHECK(remove.settled(remove.tree.delete_child("root", "a")) == row.remove);
    CHECK(remove.tree.state("root/a") == row.after_delete);
    Stage start(row.state);
    CHECK(start.settled(start.tree.start_child("root", child("a"))) == row.start);
  }
}

TEST_CASE("terminate_child ends a delayed restart for good") {
  Stage stage("waiting");
  CHECK(stage.tree.terminate_child("root", "a") == "ok");
  CHECK(stage.tree.tree().next_deadline() == std::nullopt);
  stage.tree.pass(seconds(60));
  CHECK(stage.tree.state("root/a") == "stopped");
}

TEST_CASE("terminate_child of a temporary child removes it") {
  Rehearsal tree({child("a", Restart::temporary)});
  tree.start();
  CHECK(tree.terminate_child("root", "a") == "ok");
  CHECK(tree.states().empty());
  CHECK(tree.log({"removed"}) == Log{"removed root/a"});
}

TEST_CASE("a failing start answers start_failed: restart_child leaves the child stopped, start_child leaves nothing") {
  Rehearsal tree({child("a")});
  tree.start();
  tree.failing = {{"root/a", 1}, {"root/b", 1}};
  CHECK(tree.terminate_child("root", "a") == "ok");
  CHECK(tree.restart_child("root", "a") == "start_failed");
  CHECK(tree.start_child("root", child("b")) == "start_failed");
  CHECK(tree.states() == "a:stopped");
  CHECK(tree.view("root")->restarts_in_window == 0);
}

TEST_CASE("an invalid spec is refused before anything else is checked") {
  Rehearsal tree({child("a")});
  tree.start();
  CHECK(tree.start_child("root", significant("a", Restart::transient)) == "invalid_spec");
  CHECK(tree.start_child("root", child("")) == "invalid_spec");
}

TEST_CASE("an operation on a supervisor that is not running answers noproc") {
  Rehearsal tree({child("a"), supervisor("s", {child("x")})});
  CHECK(tree.terminate_child("root", "a") == "noproc");
  tree.start();
  CHECK(tree.terminate_child("root/a", "x") == "noproc");
  CHECK(tree.terminate_child("root/nobody", "x") == "noproc");
  CHECK(tree.terminate_child("toor", "x") == "noproc");
  CHECK(tree.terminate_child("", "x") == "noproc");
  CHECK(tree.terminate_child("root", "s") == "ok");
  CHECK(tree.terminate_child("root/s", "x") == "noproc");
  tree.stop();
  CHECK(tree.terminate_child("root", "a") == "noproc");
}

TEST_CASE("an operation that is pending when its supervisor ends answers noproc") {
  Rehearsal tree({supervisor("s", {child("x"), child("y")}, flags(Strategy::one_for_one, 0))});
  tree.slow_to_stop = {"root/s/y"};
  tree.start();
  tree.exit("root/s/x");
  CHECK(tree.restart_child("root/s", "x") == "-");
  tree.exit("root/s/y");
  CHECK(tree.answer(tree.last_token()) == "noproc");
  CHECK(tree.states() == "s:running s/x:running s/y:running");
}

TEST_CASE("deleting and adding again moves a child to the end, as a new node") {
  Rehearsal tree({child("a"), child("b")});
  tree.start();
  const NodeId before = tree.view("root/a")->id;
  CHECK(tree.terminate_child("root", "a") == "ok");
  CHECK(tree.delete_child("root", "a") == "ok");
  CHECK(tree.start_child("root", child("a")) == "ok");
  CHECK(tree.states() == "b:running a:running");
  CHECK(tree.view("root/a")->id != before);
}

TEST_CASE("which_children lists states in start order") {
  Tree tree(supervisor("root", {child("a"), supervisor("s", {})}));
  (void)tree.step(Start{}, Instant{});
  const NodeView a = *tree.node(*tree.find("root/a"), Instant{});
  (void)tree.step(ChildReady{a.id, a.run}, Instant{});
  Reply reply{};
  for (const Command& command :
       tree.step(OperationRequested{7, Operation::which_children, "root", {}, {}}, Instant{})) {
    if (const auto* found = std::get_if<Reply>(&command)) reply = *found;
  }
  REQUIRE(reply.token == 7);
  REQUIRE(reply.children.size() == 2);
  CHECK(reply.children[0].id == "a");
  CHECK(reply.children[0].state == NodeState::running);
  CHECK(reply.children[1].type == NodeType::supervisor);
}

namespace {

std::string start_children(Rehearsal& tree, const std::vector<ChildSpec>& specs) {
  return tree.start_children("root", supervisor("", specs));
}

}  // namespace

TEST_CASE("start_children starts several together and answers when all are ready") {
  Rehearsal tree({child("a"), child("b")});
  tree.start();
  (void)tree.terminate_child("root", "a");
  (void)tree.log();
  tree.slow_to_start = {"root/a", "root/c", "root/d"};
  CHECK(start_children(tree, {child("a"), child("c"), child("d")}) == "-");
  CHECK(tree.log({"start"}) == Log{"start root/a", "start root/c", "start root/d"});
  tree.ready("root/d");
  tree.ready("root/a");
  CHECK(tree.answer(tree.last_token()) == "-");
  tree.slow_to_start.clear();
  tree.exit("root/d");  // does not wait for the others
  CHECK(tree.state("root/d") == "running");
  tree.ready("root/c");
  CHECK(tree.answer(tree.last_token()) == "ok");
  CHECK(tree.states() == "a:running b:running c:running d:running");
}

TEST_CASE("start_children reports that one has failed, and removes it if it was new") {
  Rehearsal tree({child("a"), child("b")});
  tree.start();
  (void)tree.terminate_child("root", "a");
  tree.failing = {{"root/a", 1}, {"root/c", 1}};
  CHECK(start_children(tree, {child("a"), child("c"), child("d")}) == "start_failed");
  CHECK(tree.states() == "a:stopped b:running d:running");
  CHECK(start_children(tree, {child("e"), child("b")}) == "running");
  CHECK(start_children(tree, {}) == "ok");
  CHECK(tree.states() == "a:stopped b:running d:running");
}

TEST_CASE("start_children answers immediately if all are up immediately") {
  Rehearsal tree({child("a")});
  tree.start();
  CHECK(start_children(tree, {supervisor("s", {}), supervisor("t", {})}) == "ok");
  CHECK(tree.states() == "a:running s:running t:running");
}

TEST_CASE("a stop ends what start_children waits for") {
  Rehearsal tree({child("a")});
  tree.start();
  tree.slow_to_start = {"root/c", "root/d"};
  CHECK(start_children(tree, {child("c"), child("d")}) == "-");
  (void)tree.log();
  tree.stop();
  CHECK(tree.log({"stop", "failed"}) ==
        Log{"stop root/d", "failed root/d", "stop root/c", "failed root/c", "stop root/a"});
  CHECK(tree.answer(tree.last_token()) == "noproc");
}

}  // namespace bulkhead::supervision::testing
