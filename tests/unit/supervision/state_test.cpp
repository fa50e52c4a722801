// A tree that continues in another program: after state() and restore() it behaves as if nothing had happened.
#include <catch2/catch.hpp>

#include "master/supervision/tree.h"

namespace bulkhead::supervision {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Instant at(int ms) {
  return Instant(milliseconds(ms));
}

ChildSpec leaf(const char* id) {
  ChildSpec out;
  out.id = id;
  return out;
}

ChildSpec root_of(std::vector<ChildSpec> children) {
  ChildSpec out;
  out.id = "root";
  out.type = NodeType::supervisor;
  out.flags.max_restarts = 2;
  out.flags.max_seconds = seconds(10);
  out.children = std::move(children);
  return out;
}

ChildSpec specs() {
  ChildSpec web = root_of({leaf("a"), leaf("b")});
  web.id = "web";
  web.restart = Restart::temporary;
  ChildSpec slow = leaf("slow");
  slow.restart_delay.enabled = true;
  slow.restart_delay.min = slow.restart_delay.max = seconds(3);
  slow.restart_delay.jitter = 0;
  return root_of({web, slow, leaf("z")});
}

const Tree::FindAdded kNothingAdded = [](const std::string&, NodeType) { return std::nullopt; };

// Starts everything; answers every command with success.
void obey(Tree& tree, std::vector<Command> commands, int now) {
  for (std::size_t i = 0; i < commands.size(); ++i) {
    std::vector<Command> more;
    if (const auto* start = std::get_if<StartChild>(&commands[i])) {
      more = tree.step(ChildReady{start->node, start->run}, at(now));
    } else if (const auto* stop = std::get_if<StopChild>(&commands[i])) {
      more = tree.step(ChildExited{stop->node, stop->run, ExitReason::normal}, at(now));
    }
    commands.insert(commands.end(), more.begin(), more.end());
  }
}

void crash(Tree& tree, const char* path, int now) {
  const auto view = tree.node(*tree.find(path), at(now));
  obey(tree, tree.step(ChildExited{view->id, view->run, ExitReason::abnormal}, at(now)), now);
}

std::string describe(const Tree& tree, NodeId id, int now) {
  const auto view = tree.node(id, at(now));
  std::string out = view->path + ":" + std::to_string(static_cast<int>(view->state)) + ":" + std::to_string(view->run) +
                    ":" + std::to_string(view->restarts) + ":" + std::to_string(view->restarts_in_window) + " ";
  for (const NodeId child : view->children) out += describe(tree, child, now);
  return out;
}

void restore(Tree& tree, const TreeState& state) {
  REQUIRE(tree.restore(state, kNothingAdded) == "");
}

TEST_CASE("running children continue with their numbers and their history") {
  Tree before(specs());
  obey(before, before.step(Start{}, at(0)), 0);
  crash(before, "root/web/a", 100);
  crash(before, "root/web/a", 200);
  Tree after(specs());
  restore(after, before.state());
  CHECK(describe(after, kRoot, 300) == describe(before, kRoot, 300));
  CHECK(after.step(Start{}, at(300)).empty());
  for (Tree* tree : {&before, &after}) {
    crash(*tree, "root/web/b", 400);  // one too many: web is temporary and is removed
    CHECK_FALSE(tree->find("root/web"));
    CHECK(tree->find("root/z"));
  }
  CHECK(describe(after, kRoot, 500) == describe(before, kRoot, 500));
}

TEST_CASE("a delay ends at its original time") {
  Tree before(specs());
  obey(before, before.step(Start{}, at(0)), 0);
  crash(before, "root/slow", 100);
  crash(before, "root/slow", 200);
  Tree after(specs());
  restore(after, before.state());
  REQUIRE(after.next_deadline() == at(3200));
  obey(after, after.step(DeadlineReached{}, at(3199)), 3199);
  CHECK(after.node(*after.find("root/slow"), at(3199))->state == NodeState::waiting);
  obey(after, after.step(DeadlineReached{}, at(3200)), 3200);
  CHECK(after.node(*after.find("root/slow"), at(3200))->state == NodeState::running);
}

TEST_CASE("a start and a stop that are under way are finished") {
  Tree before(specs());
  const auto commands = before.step(Start{}, at(0));  // root/web/a is starting, and awaited
  Tree after(specs());
  restore(after, before.state());
  obey(after, commands, 10);
  CHECK(after.node(kRoot, at(10))->state == NodeState::running);
  CHECK(after.node(*after.find("root/z"), at(10))->state == NodeState::running);

  const auto stops = after.step(StopRequested{}, at(20));
  Tree third(specs());
  restore(third, after.state());
  obey(third, stops, 30);
  CHECK(third.node(kRoot, at(30))->state == NodeState::stopped);
}

TEST_CASE("an entry that is not in the configuration needs its spec from the caller") {
  Tree before(specs());
  obey(before, before.step(Start{}, at(0)), 0);
  obey(before, before.step(OperationRequested{1, Operation::start_child, "root", "", leaf("more")}, at(1)), 1);
  Tree unknowing(specs());
  CHECK(unknowing.restore(before.state(), kNothingAdded) == "no child spec for root/more");
  Tree knowing(specs());
  CHECK(knowing.restore(before.state(), [](const std::string& path, NodeType) {
    return path == "root/more" ? std::optional(leaf("more")) : std::nullopt;
  }) == "");
  CHECK(knowing.find("root/more"));
}

// A consistent job of the root.
JobRecord& some_job(TreeState& state) {
  SupervisorRecord& root = *state.nodes[0].supervisor;
  JobRecord& job = root.jobs.emplace_back();
  job.awaited = {root.children[0]};
  return job;
}

TEST_CASE("an inconsistent state is refused") {
  Tree before(specs());
  obey(before, before.step(Start{}, at(0)), 0);
  const TreeState good = before.state();
  using Change = void (*)(TreeState&);
  const Change changes[] = {
      [](TreeState& s) { s.nodes.clear(); },
      [](TreeState& s) { s.nodes.erase(s.nodes.begin()); },
      [](TreeState& s) { s.nodes.pop_back(); },
      [](TreeState& s) { s.nodes.push_back(s.nodes.back()); },
      [](TreeState& s) { s.nodes.back().parent = 999; },
      [](TreeState& s) { s.nodes.back().parent = s.nodes.back().id; },
      [](TreeState& s) { s.nodes.back().parent = 0; },
      [](TreeState& s) { s.nodes.back().id = 0; },
      [](TreeState& s) { s.nodes.back().type = NodeType::listener; },
      [](TreeState& s) { s.nodes.back().ending = 99; },
      [](TreeState& s) { s.nodes.back().supervisor.emplace(); },
      [](TreeState& s) { s.nodes.back().name = "nobody"; },
      [](TreeState& s) { s.last_id = 1; },
      [](TreeState& s) { s.last_run = 1; },
      [](TreeState& s) { s.nodes[0].supervisor->children.push_back(1); },
      [](TreeState& s) { s.nodes[0].supervisor->children.push_back(77); },
      [](TreeState& s) { s.nodes[0].supervisor->children.push_back(s.nodes[0].supervisor->children[0]); },
      [](TreeState& s) { s.nodes[0].supervisor->children.pop_back(); },
      [](TreeState& s) {
        s.nodes[0].supervisor->mailbox.push_back({9, 2, 1, ExitReason::normal});
      },
      [](TreeState& s) { s.nodes[0].supervisor->jobs.emplace_back(); },
      [](TreeState& s) { s.nodes[0].supervisor->jobs.emplace_back().awaited = {77}; },
      [](TreeState& s) { some_job(s).kind = 77; },
      [](TreeState& s) { some_job(s).subject = 77; },
      [](TreeState& s) { some_job(s).starts = {77}; },
      [](TreeState& s) { some_job(s).next_stop = 1; }};
  std::size_t number = 0;
  for (const Change change : changes) {
    INFO(number++);
    TreeState bad = good;
    change(bad);
    Tree tree(specs());
    CHECK(tree.restore(bad, kNothingAdded) != "");
  }
}

}  // namespace
}  // namespace bulkhead::supervision
