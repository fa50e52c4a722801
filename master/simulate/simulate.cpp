#include "master/simulate/simulate.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "master/simulate/scenario.h"
#include "master/simulate/simulated_world.h"
#include "master/supervision/words.h"

namespace bulkhead::simulation {

using supervision::NodeId;
using supervision::NodeState;
using supervision::NodeView;
using supervision::ReplyError;

namespace {

constexpr auto kNowait = std::chrono::milliseconds(100);  // how soon the next event follows one with `nowait`
constexpr std::size_t kMaxNesting = 256;

// OTP knows three states of a child.
const char* state_name(NodeState state) {
  switch (state) {
    case NodeState::starting:
    case NodeState::running:
    case NodeState::stopping: return "running";
    case NodeState::waiting:
    case NodeState::restarting: return "restarting";
    case NodeState::stopped:
    case NodeState::failed: break;
  }
  return "stopped";
}

bool runs(const NodeView& node) {
  return state_name(node.state) == std::string_view("running");
}

// Runs one scenario and writes what happened in the words of the format.
class Player {
 public:
  explicit Player(const Scenario& scenario) : scenario_(scenario), world_(scenario) {}

  Json play_start() {
    const auto parent_policy = supervision::AutoShutdown::never;
    const bool valid = supervision::check_child_spec(scenario_.tree, parent_policy).empty();
    world_.start();
    world_.run_until_quiet();
    Json expectation = result(valid ? ReplyError::start_failed : ReplyError::invalid_spec);
    if (world_.root_is_running()) expectation = result(ReplyError::none);
    add_state(expectation);
    return expectation;
  }

  // What has happened since the last call, for people.
  Json told(const Json& what) {
    Json nodes = Json::array();
    add_nodes(nodes, supervision::kRoot);
    return {{"what", what},
            {"timeline", world_.take_timeline()},
            {"nodes", std::move(nodes)},
            {"root", world_.root_is_running() ? "running" : "terminated"}};
  }

  // Each at its time, or at once if that has passed.
  Json play_crashes(std::vector<Crash> crashes) {
    std::ranges::stable_sort(crashes, {}, &Crash::at);
    const supervision::Instant begin = world_.now();
    for (const Crash& crash : crashes) {
      world_.run_for(std::max(supervision::Duration::zero(), begin + crash.at - world_.now()));
      world_.exit_if_running(crash.path, "crash");
    }
    world_.run_until_quiet();
    return told(nullptr);
  }

  Json play(const ScenarioEvent& event) {
    Json expectation = std::visit([this](const auto& known) { return cause(known); }, event.what);
    if (event.nowait) {
      expectation["pending"] = true;
      world_.run_for(kNowait);
    } else {
      world_.run_until_quiet();
      add_state(expectation);
    }
    return expectation;
  }

 private:
  static Json result(ReplyError error) {
    if (error == ReplyError::none) return {{"result", "ok"}};
    return {{"result", "error"}, {"error", supervision::kReplyErrorWords.text(error)}};
  }

  Json cause(const Exits& event) {
    world_.exit(event.exits);
    return result(ReplyError::none);
  }
  Json cause(const Shutdown&) {
    if (!world_.root_is_running()) return result(ReplyError::noproc);
    world_.shut_down();
    return result(ReplyError::none);
  }
  Json cause(const Sleep& event) {
    world_.run_for(event.duration);
    return result(ReplyError::none);
  }
  Json cause(const Operate& event) {
    const supervision::Reply reply = world_.operate(event.request);
    Json expectation = result(reply.error);
    const bool asked = event.request.operation == supervision::Operation::which_children;
    if (!asked || reply.error != ReplyError::none) return expectation;
    expectation[event.count_only ? "counts" : "which"] = event.count_only ? counts(reply) : which(reply);
    return expectation;
  }

  static Json which(const supervision::Reply& reply) {
    Json list = Json::array();
    for (const supervision::ChildStatus& child : reply.children) {
      list.push_back({{"id", child.id}, {"state", state_name(child.state)}});
    }
    return list;
  }

  static Json counts(const supervision::Reply& reply) {
    std::size_t active = 0;
    std::size_t supervisors = 0;
    for (const supervision::ChildStatus& child : reply.children) {
      if (state_name(child.state) == std::string_view("running")) ++active;
      if (supervision::supervises(child.type)) ++supervisors;
    }
    return {{"specs", reply.children.size()},
            {"active", active},
            {"supervisors", supervisors},
            {"workers", reply.children.size() - supervisors}};
  }

  void add_state(Json& expectation) {
    const Json trace = world_.take_trace();
    Json exits = Json::array();
    for (const Json& entry : trace) {
      if (entry.contains("cause")) {
        exits.push_back({{"path", entry["stop"]}, {"reason", entry["reason"]}, {"cause", entry["cause"]}});
      }
    }
    expectation["trace"] = trace;
    expectation["sup_exits"] = std::move(exits);
    expectation["live"] = Json::array();
    expectation["children"] = Json::object();
    add_live(expectation, supervision::kRoot);
    expectation["root"] = world_.root_is_running() ? "running" : "terminated";
  }

  void add_live(Json& expectation, NodeId id) const {
    const NodeView node = *world_.tree().node(id, world_.now());
    if (!runs(node)) return;
    expectation["live"].push_back(node.path);
    if (!supervision::supervises(node.spec->type)) return;
    Json& list = expectation["children"][node.path] = Json::array();
    for (const NodeId child : node.children) {
      const NodeView view = *world_.tree().node(child, world_.now());
      list.push_back({{"id", view.spec->id}, {"state", state_name(view.state)}});
    }
    for (const NodeId child : node.children) add_live(expectation, child);
  }

  void add_nodes(Json& out, NodeId id) const {
    const NodeView node = *world_.tree().node(id, world_.now());
    out.push_back({{"path", node.path}, {"state", supervision::kNodeStateWords.text(node.state)}});
    for (const NodeId child : node.children) add_nodes(out, child);
  }

  const Scenario& scenario_;
  SimulatedWorld world_;
};

template <class Play>
void at_event(std::size_t index, const Play& play) {
  try {
    play();
  } catch (const ScenarioError& error) {
    throw ScenarioError("/events/" + std::to_string(index) + ": " + error.what());
  }
}

// The scenario with the expectations at their places: after `tree` and after `events`.
Json fill_in(const Json& json, const supervision::ChildSpec* tree_from_config) {
  const Scenario scenario = read_scenario(json, tree_from_config);
  Player player(scenario);
  const Json start = player.play_start();
  Json expect = Json::array();
  for (std::size_t i = 0; i < scenario.events.size(); ++i) {
    at_event(i, [&] { expect.push_back(player.play(scenario.events[i])); });
  }
  Json filled = Json::object();
  for (const auto& [key, value] : json.items()) {
    if (key == "expect_start" || key == "expect" || (key == "tree" && tree_from_config != nullptr)) continue;
    if (key == "events") filled["expect_start"] = start;
    filled[key] = value;
  }
  filled["expect"] = std::move(expect);
  return filled;
}

// nlohmann writes either no spaces or one value per line; the recorded files have ", " and ": " on one line.
void write(const Json& json, std::string& out) {
  if (json.empty() || !json.is_structured()) {
    out += json.dump(-1, ' ', true);
    return;
  }
  const bool object = json.is_object();
  const char* separator = object ? "{" : "[";
  for (const auto& [key, value] : json.items()) {
    out += separator;
    separator = ", ";
    if (object) out += Json(key).dump(-1, ' ', true) + ": ";
    write(value, out);
  }
  out += object ? '}' : ']';
}

void write_lines(const Json& list, const std::string& indent, std::string& out) {
  const char* separator = "[\n";
  for (const Json& item : list) {
    out += separator + indent;
    separator = ",\n";
    write(item, out);
  }
  out += list.empty() ? "[]" : "]";
}

void write_scenario(const Json& scenario, const std::string& indent, std::string& out) {
  std::string separator = indent + "{";
  for (const auto& [key, value] : scenario.items()) {
    out += separator + Json(key).dump(-1, ' ', true) + ": ";
    separator = ",\n" + indent + " ";
    if (value.is_array() && (key == "events" || key == "expect")) {
      write_lines(value, indent + "  ", out);
    } else {
      write(value, out);
    }
  }
  out += '}';
}

std::string name_of(const Json& scenario, std::size_t index) {
  const bool named = scenario.is_object() && scenario.contains("name") && scenario["name"].is_string();
  return "scenario " + (named ? scenario["name"].get<std::string>() : std::to_string(index));
}

// One scenario for people: the start, then each event.
Json tell(const Json& json, const supervision::ChildSpec* tree_from_config) {
  const Scenario scenario = read_scenario(json, tree_from_config);
  Player player(scenario);
  (void)player.play_start();
  Json steps = Json::array();
  steps.push_back(player.told(nullptr));
  for (std::size_t i = 0; i < scenario.events.size(); ++i) {
    at_event(i, [&] { (void)player.play(scenario.events[i]); });
    steps.push_back(player.told(json["events"][i]));
  }
  Json out = Json::object();
  for (const char* key : {"name", "about"}) {
    if (json.contains(key)) out[key] = json[key];
  }
  out["steps"] = std::move(steps);
  return out;
}

// With the name or the number of the scenario in an error.
Json tell_each(const Json& scenarios, const supervision::ChildSpec* tree_from_config) {
  Json out = Json::array();
  for (std::size_t i = 0; i < scenarios.size(); ++i) {
    try {
      out.push_back(tell(scenarios[i], tree_from_config));
    } catch (const ScenarioError& error) {
      throw ScenarioError(name_of(scenarios[i], i) + ": " + error.what());
    }
  }
  return out;
}

std::string play_all(const Json& scenarios, const supervision::ChildSpec* tree_from_config) {
  std::string out;
  const char* separator = "[\n";
  for (std::size_t i = 0; i < scenarios.size(); ++i) {
    try {
      out += separator;
      write_scenario(fill_in(scenarios[i], tree_from_config), " ", out);
      separator = ",\n";
    } catch (const ScenarioError& error) {
      throw ScenarioError(name_of(scenarios[i], i) + ": " + error.what());
    }
  }
  return scenarios.empty() ? "[]\n" : out + "\n]\n";
}

// The functions that visit the document recurse, so its depth is limited first.
Json parse(std::string_view text) {
  const auto shallow = [](int depth, Json::parse_event_t, Json&) {
    if (depth > static_cast<int>(kMaxNesting)) throw ScenarioError("nested too deeply");
    return true;
  };
  return Json::parse(text.begin(), text.end(), shallow);
}

std::string run(std::string_view text, const supervision::ChildSpec* tree_from_config) {
  const Json json = parse(text);
  if (json.is_array()) return play_all(json, tree_from_config);
  std::string out;
  write_scenario(fill_in(json, tree_from_config), "", out);
  return out + "\n";
}

template <class Run>
SimulateResult result_of(const Run& run) {
  try {
    return {run(), {}};
  } catch (const nlohmann::json::parse_error& error) {
    return {{}, std::string("not JSON: ") + error.what()};
  } catch (const std::exception& error) {
    return {{}, error.what()};
  }
}

}  // namespace

SimulateResult simulate(std::string_view scenario_text, const supervision::ChildSpec* tree_from_config) {
  return result_of([&] { return run(scenario_text, tree_from_config); });
}

SimulateResult tell_scenarios(std::string_view scenario_text, const supervision::ChildSpec* tree_from_config) {
  return result_of([&] {
    const Json json = parse(scenario_text);
    Json told = json.is_array() ? tell_each(json, tree_from_config) : Json::array({tell(json, tree_from_config)});
    return Json{{"scenarios", std::move(told)}}.dump(-1, ' ', true);
  });
}

SimulateResult tell_crashes(const supervision::ChildSpec& tree, std::vector<Crash> crashes) {
  return result_of([&] {
    Scenario scenario;
    scenario.tree = tree;
    Player player(scenario);
    (void)player.play_start();
    Json out = player.play_crashes(std::move(crashes));
    out.erase("what");
    return out.dump(-1, ' ', true);
  });
}

}  // namespace bulkhead::simulation
