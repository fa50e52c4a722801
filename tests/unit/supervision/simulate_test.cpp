// The simulator as a product: its output, its errors, and its extensions of the recorded scenarios.
#include "master/simulate/simulate.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "tests/unit/supervision/rehearsal.h"

namespace bulkhead::simulation {

namespace {

using Json = nlohmann::ordered_json;

const std::string kTree = R"("tree": {"strategy": "one_for_one", "intensity": 3, "period": 5, "children": [)"
                          R"({"id": "a", "type": "worker", "restart": "permanent", "shutdown": 5000}]})";

std::string scenario(const std::string& events) {
  return "{" + kTree + R"(, "events": [)" + events + "]}";
}

std::string error_of(const std::string& text) {
  const SimulateResult result = simulate(text, nullptr);
  CHECK(result.output.empty());
  return result.error;
}

}  // namespace

TEST_CASE("one scenario gives one result, an array gives an array") {
  const SimulateResult one = simulate(scenario(R"({"exit": "root/a", "reason": "crash"})"), nullptr);
  REQUIRE(one.error.empty());
  CHECK(one.output == "{" + kTree + R"(,
 "expect_start": {"result": "ok", "trace": [{"start": "root", "type": "supervisor"}, {"start": "root/a"}], "sup_exits": [], "live": ["root", "root/a"], "children": {"root": [{"id": "a", "state": "running"}]}, "root": "running"},
 "events": [
  {"exit": "root/a", "reason": "crash"}],
 "expect": [
  {"result": "ok", "trace": [{"stop": "root/a", "reason": "crash", "by": "self"}, {"start": "root/a"}], "sup_exits": [], "live": ["root", "root/a"], "children": {"root": [{"id": "a", "state": "running"}]}, "root": "running"}]}
)");
  CHECK(Json::parse(simulate("[" + scenario("") + "," + scenario("") + "]", nullptr).output).size() == 2);
  CHECK(simulate("[]", nullptr).output == "[]\n");
}

TEST_CASE("a bad scenario is a sentence that names the place") {
  CHECK(error_of("") != "");
  CHECK(error_of("{") != "");
  CHECK(error_of("\xff") != "");
  CHECK(error_of(std::string(100'000, '[')) != "");
  struct Row {
    std::string text;
    std::string error;
  };
  const std::vector<Row> rows{
      {"3", "expected an object"},
      {"{}", R"(missing key "tree")"},
      {"[{\"name\": \"x\"}]", R"(scenario x: missing key "tree")"},
      {scenario(R"({"exit": "root/b", "reason": "crash"})"), "/events/0: no worker root/b is running"},
      {scenario(R"({"exit": "root", "reason": "crash"})"), "/events/0: no worker root is running"},
      {scenario(R"({"exit": "root/a", "reason": "boredom"})"),
       "/events/0/reason: \"boredom\" is not one of normal, shutdown, shutdown_info, crash, permanent_failure, "
       "retired"},
      {scenario(R"({"exit": ["root/a", "root/a"], "reason": "crash"})"), "/events/0: no worker root/a is running"},
      {scenario(R"({"exit": ["root/a"], "reason": ["crash", "crash"]})"),
       "/events/0/reason: expected one reason for each exit"},
      {scenario(R"({"op": "dance"})"),
       "/events/0/op: \"dance\" is not one of terminate_child, restart_child, delete_child, start_child, "
       "which_children, "
       "count_children, shutdown"},
      {scenario(R"({"sleep_ms": -1})"), "/events/0/sleep_ms: expected a time, 0 or more"},
      {scenario(R"({"sleep_ms": 1e300})"), "/events/0/sleep_ms: expected a time, 0 or more"},
      {scenario(R"({"nap": 1})"), R"(/events/0: expected one of the keys "exit", "op", "sleep_ms")"},
      {scenario(R"({"op": "shutdown", "nowait": 1})"), "/events/0/nowait: expected true or false"},
      {R"({"tree": {"strategy": "one_for_one", "intensity": -1, "period": 5, "children": []}, "events": []})",
       "/tree/intensity: expected 0 to 1000000"},
      {R"({"tree": {"strategy": "one_for_one", "intensity": 1, "period": 5, "children": {}}, "events": []})",
       "/tree/children: expected an array"},
  };
  for (const Row& row : rows) CHECK(error_of(row.text) == row.error);
}

TEST_CASE("an operation that can never end is an error, not an endless wait") {
  const std::string stubborn =
      R"({"tree": {"strategy": "one_for_one", "intensity": 3, "period": 5, "children": [{"id": "a", "type": "worker",
      "restart": "permanent", "shutdown": "infinity", "on_terminate": "ignore"}]},
      "events": [{"op": "terminate_child", "sup": "root", "id": "a"}]})";
  CHECK(error_of(stubborn) == "/events/0: this is never answered: it waits for the end of a child that never ends");
}

TEST_CASE("operations and a second shutdown after the end answer noproc") {
  const SimulateResult result = simulate(
      scenario(R"({"op": "shutdown"}, {"op": "shutdown"}, {"op": "which_children", "sup": "root"}, {"sleep_ms": 1})"),
      nullptr);
  REQUIRE(result.error.empty());
  const Json expect = Json::parse(result.output)["expect"];
  CHECK(expect[1]["error"] == "noproc");
  CHECK(expect[2]["error"] == "noproc");
  CHECK(expect[3]["root"] == "terminated");
}

TEST_CASE("a tree from the configuration runs with its delays, in virtual time") {
  namespace t = supervision::testing;
  supervision::ChildSpec worker = t::child("1");
  worker.type = supervision::NodeType::worker;
  worker.restart_delay.enabled = true;
  worker.restart_delay.min = std::chrono::milliseconds(150);
  worker.restart_delay.jitter = 0;
  supervision::ChildSpec tree = t::supervisor("anything", {t::supervisor("echo", {worker})});
  tree.children[0].type = supervision::NodeType::listener;
  const SimulateResult result = simulate(R"({"name": "mine", "tree": "ignored", "events": [
    {"exit": "root/echo/1", "reason": "crash"}, {"exit": "root/echo/1", "reason": "crash", "nowait": true},
    {"op": "which_children", "sup": "root/echo", "nowait": true}, {"exit": "root/echo/1", "reason": "retired"}]})",
                                         &tree);
  REQUIRE(result.error.empty());
  const Json out = Json::parse(result.output);
  CHECK_FALSE(out.contains("tree"));
  CHECK(out["expect_start"]["live"].dump() == R"(["root","root/echo","root/echo/1"])");
  CHECK(out["expect"][2]["which"].dump() == R"([{"id":"1","state":"restarting"}])");
  CHECK(out["expect"][3]["trace"].back().dump() == R"({"start":"root/echo/1"})");
}

TEST_CASE("a scenario is told step by step, with its times") {
  const SimulateResult result = tell_scenarios(scenario(R"({"exit": "root/a", "reason": "crash"}, {"sleep_ms": 500},
    {"exit": "root/a", "reason": "normal"})"),
                                               nullptr);
  REQUIRE(result.error.empty());
  const Json steps = Json::parse(result.output)["scenarios"][0]["steps"];
  REQUIRE(steps.size() == 4);
  CHECK(steps[0]["what"].is_null());
  CHECK(
      steps[0]["timeline"].dump() ==
      R"([{"seconds":0.0,"event":"supervisor_started","path":"root"},{"seconds":0.0,"event":"child_ready","path":"root/a"}])");
  CHECK(steps[1]["timeline"][0]["reason"] == "crash");
  CHECK(steps[1]["timeline"][1]["restarts_in_window"] == 1);
  CHECK(steps[2]["timeline"].empty());
  CHECK(steps[3]["timeline"][0]["seconds"] == 0.5);
  CHECK(steps[3]["nodes"].dump() == R"([{"path":"root","state":"running"},{"path":"root/a","state":"running"}])");
  CHECK(tell_scenarios(scenario(R"({"exit": "root/b", "reason": "crash"})"), nullptr).error ==
        "/events/0: no worker root/b is running");
}

TEST_CASE("a job of a configuration ends when it is ready, and is done again with its group") {
  supervision::ChildSpec tree;
  tree.type = supervision::NodeType::supervisor;
  tree.flags.strategy = supervision::Strategy::one_for_all;
  for (const char* id : {"job", "a"}) {
    supervision::ChildSpec& child = tree.children.emplace_back();
    child.id = id;
    child.type = supervision::NodeType::process;
  }
  tree.children[0].restart = supervision::Restart::transient;
  tree.children[0].tag = kJobTag;
  const Json told = Json::parse(tell_crashes(tree, {{"root/job", {}}, {"root/a", std::chrono::seconds(1)}}).output);
  std::vector<std::string> events;
  for (const Json& entry : told["timeline"]) events.push_back(entry["event"]);
  const std::vector<std::string> up{"child_ready", "child_exited", "child_ready"};
  CHECK(std::vector(events.begin() + 1, events.begin() + 4) == up);
  CHECK(events[4] == "not_running");
  CHECK(std::vector(events.end() - 3, events.end()) == up);
  CHECK(told["nodes"][1]["state"] == "stopped");
}

TEST_CASE("crashes happen at their times, whatever their order, and only to what runs") {
  supervision::ChildSpec tree;
  tree.type = supervision::NodeType::supervisor;
  tree.flags.max_restarts = 1;
  tree.flags.max_seconds = std::chrono::seconds(60);
  supervision::ChildSpec child;
  child.id = "a";
  child.type = supervision::NodeType::process;
  tree.children.push_back(child);
  const auto at = [](int ms) { return Crash{"root/a", std::chrono::milliseconds(ms)}; };
  const Json told = Json::parse(tell_crashes(tree, {at(1500), at(1000), at(2000)}).output);
  std::vector<std::string> events;
  for (const Json& entry : told["timeline"]) events.push_back(entry["event"]);
  CHECK(events == std::vector<std::string>{"supervisor_started", "child_ready", "child_exited", "child_restarting",
                                           "child_ready", "child_exited", "intensity_exceeded", "supervisor_terminated",
                                           "not_running"});
  CHECK(told["timeline"][2]["seconds"] == 1.0);
  CHECK(told["timeline"][5]["seconds"] == 1.5);
  CHECK(told["root"] == "terminated");
}

}  // namespace bulkhead::simulation
