// The engine with scripted effects: no process, no loop, a clock that the test sets.
#include "master/running/engine.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <string>
#include <vector>

namespace bulkhead::running {
namespace {

using namespace std::chrono_literals;
using namespace supervision;

ChildSpec process(const std::string& id) {
  ChildSpec spec;
  spec.id = id;
  return spec;
}

ChildSpec root_of(std::vector<ChildSpec> children) {
  ChildSpec root;
  root.type = NodeType::supervisor;
  root.children = std::move(children);
  return root;
}

// Records its calls, and answers starts as configured.
struct Script final : Engine::Effects {
  Engine* engine = nullptr;
  std::vector<std::string> deeds;
  bool starts_succeed = true;
  bool answer_at_once = true;
  RunId last_run = 0;
  NodeId last_node = 0;

  void start(const NodeView& child, const NodeView& parent, RunId run) override {
    CHECK(parent.id == child.parent);
    deeds.push_back("start " + child.path);
    last_run = run;
    last_node = child.id;
    if (!answer_at_once) return;
    if (starts_succeed) {
      engine->apply(ChildReady{child.id, run});
    } else {
      engine->apply(StartFailed{child.id, run});
    }
  }
  void stop(RunId) override { deeds.emplace_back("stop"); }
  void kill(RunId) override { deeds.emplace_back("kill"); }
  void told(const Report& report) override {
    if (std::holds_alternative<report::ChildReady>(report)) deeds.push_back("ready");
  }
  void ending(const TreeEnding&) override { deeds.emplace_back("ending"); }
  void over(const TreeTerminated&) override { deeds.emplace_back("over"); }
  void settled() override { deeds.emplace_back("settled"); }
};

struct Wheel {
  Script script;
  Instant time{};
  Engine engine;
  explicit Wheel(std::vector<ChildSpec> children)
      : engine(
            root_of(std::move(children)), 1, [this] { return time; }, script) {
    script.engine = &engine;
  }
};

TEST_CASE("an event is processed with all its consequences, then settled is reported once") {
  Wheel wheel({process("a"), process("b")});
  wheel.engine.apply(Start{});
  CHECK(wheel.script.deeds == std::vector<std::string>{"start root/a", "ready", "start root/b", "ready", "settled"});
  CHECK(wheel.engine.view("root")->state == NodeState::running);
  CHECK(wheel.engine.is_quiet());
}

TEST_CASE("an event raised by an effect is applied after the commands before it") {
  Wheel wheel({process("a")});
  wheel.script.starts_succeed = false;
  wheel.engine.apply(Start{});
  CHECK(wheel.script.deeds == std::vector<std::string>{"start root/a", "ending", "settled"});
}

TEST_CASE("a root that ends by itself stops nothing before it is asked to") {
  Wheel wheel({process("a"), process("b")});
  wheel.engine.apply(Start{});
  const auto b = *wheel.engine.view("root/b");
  for (int crashes = 0; crashes < 4; ++crashes) {
    wheel.script.deeds.clear();
    wheel.engine.apply(ChildExited{b.id, wheel.engine.view("root/b")->run, ExitReason::abnormal});
  }
  CHECK(wheel.script.deeds == std::vector<std::string>{"ending", "settled"});
  CHECK(wheel.engine.view("root")->state == NodeState::stopping);
  CHECK(wheel.engine.view("root/a")->state == NodeState::running);
  wheel.script.deeds.clear();
  wheel.engine.apply(StopRequested{});
  CHECK(wheel.script.deeds == std::vector<std::string>{"stop", "settled"});
}

TEST_CASE("every operation is answered exactly once, with the tree's result") {
  Wheel wheel({process("a")});
  wheel.engine.apply(Start{});
  std::vector<ReplyError> answers;
  const auto answered = [&answers](ReplyError error) { answers.push_back(error); };
  wheel.engine.operate(Operation::restart_child, "root/a", answered);
  wheel.engine.operate(Operation::delete_child, "root/nobody", answered);
  wheel.engine.operate(Operation::terminate_child, "nowhere/a", answered);
  CHECK(answers == std::vector<ReplyError>{ReplyError::running, ReplyError::not_found, ReplyError::noproc});
}

TEST_CASE("the engine is not quiet while an operation is unanswered") {
  Wheel wheel({process("a")});
  wheel.engine.apply(Start{});
  int answers = 0;
  wheel.engine.operate(Operation::terminate_child, "root/a", [&answers](ReplyError) { ++answers; });
  CHECK(answers == 0);
  CHECK_FALSE(wheel.engine.is_quiet());
  CHECK(wheel.engine.has_unanswered());
  wheel.engine.apply(ChildExited{wheel.script.last_node, wheel.script.last_run, ExitReason::abnormal});
  CHECK(answers == 1);
  CHECK(wheel.engine.is_quiet());
}

TEST_CASE("an answer may start the next operation") {
  Wheel wheel({process("a")});
  wheel.engine.apply(Start{});
  ReplyError last = ReplyError::none;
  wheel.engine.operate(Operation::terminate_child, "root/a", [&](ReplyError) {
    wheel.engine.operate(Operation::delete_child, "root/a", [&last](ReplyError error) { last = error; });
  });
  wheel.engine.apply(ChildExited{wheel.script.last_node, wheel.script.last_run, ExitReason::abnormal});
  CHECK(last == ReplyError::none);
  CHECK_FALSE(wheel.engine.has("root/a"));
}

TEST_CASE("several children are started together and answered once the last is ready") {
  Wheel wheel({process("a")});
  wheel.engine.apply(Start{});
  int answers = 0;
  wheel.engine.start_together("root", {process("b"), process("c")}, [&answers](ReplyError error) {
    CHECK(error == ReplyError::none);
    ++answers;
  });
  CHECK(answers == 1);
  CHECK(wheel.engine.view("root/c")->state == NodeState::running);
}

TEST_CASE("only the injected clock makes a delayed restart due") {
  ChildSpec crashing = process("a");
  crashing.restart_delay.enabled = true;
  crashing.restart_delay.min = 1s;
  crashing.restart_delay.jitter = 0;
  Wheel wheel({crashing});
  wheel.engine.apply(Start{});
  const auto crash = [&wheel] {
    wheel.engine.apply(ChildExited{wheel.script.last_node, wheel.script.last_run, ExitReason::abnormal});
  };
  crash();  // the first restart is immediate
  crash();
  CHECK(wheel.engine.view("root/a")->state == NodeState::waiting);
  CHECK(wheel.engine.next_deadline() == wheel.time + 1s);
  wheel.time += 999ms;
  wheel.engine.apply(DeadlineReached{});
  CHECK(wheel.engine.view("root/a")->state == NodeState::waiting);
  wheel.time += 1ms;
  wheel.engine.apply(DeadlineReached{});
  CHECK(wheel.engine.view("root/a")->state == NodeState::running);
}

TEST_CASE("the root's end is reported with its cause, and stops answer once their children are gone") {
  Wheel wheel({process("a")});
  wheel.engine.apply(Start{});
  wheel.script.deeds.clear();
  wheel.engine.apply(StopRequested{});
  CHECK(wheel.script.deeds == std::vector<std::string>{"stop", "settled"});
  wheel.engine.apply(ChildExited{wheel.script.last_node, wheel.script.last_run, ExitReason::abnormal});
  CHECK(wheel.script.deeds == std::vector<std::string>{"stop", "settled", "over", "settled"});
}

}  // namespace
}  // namespace bulkhead::running
