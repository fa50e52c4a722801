// A scenario of `simulate`: a supervision tree, how its processes behave, and what happens to it. The format is
// described in tests/vectors/README.md; this is its content, checked and typed. Internal to the simulator.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

#include "master/supervision/tree.h"

namespace bulkhead::simulation {

using Json = nlohmann::ordered_json;  // keys stay in the order of the file

// A problem in a scenario, worded for the user. simulate() catches it.
struct ScenarioError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// How a worker behaves; the supervisor does not see this. The `tag` of a ChildSpec is an index into
// Scenario::behaviours.
struct Behaviour {
  enum class OnTerminate : std::uint8_t { exit, ignore, exit_normal, exit_crash, exit_slow };
  OnTerminate on_terminate = OnTerminate::exit;
  supervision::Duration delay{};
  std::vector<std::uint64_t> start_fail;  // attempts to start its path that fail, counted from 1
  supervision::Duration fail_delay{};
  bool is_job = false;  // ends normally as soon as it is ready
};

[[nodiscard]] inline Behaviour job() {
  Behaviour out;
  out.is_job = true;
  return out;
}

struct Exits {
  struct One {
    std::string path;
    std::string reason;
  };
  std::vector<One> exits;
};
struct Operate {
  supervision::OperationRequested request;
  bool count_only = false;  // count_children, which differs from which_children only in its answer
};
struct Shutdown {};
struct Sleep {
  supervision::Duration duration;
};

struct ScenarioEvent {
  std::variant<Exits, Operate, Shutdown, Sleep> what;
  bool nowait = false;
};

struct Scenario {
  supervision::ChildSpec tree;
  // By ChildSpec::tag. The first one is the default behaviour, the second one that of kJobTag.
  std::vector<Behaviour> behaviours{{}, job()};
  std::vector<ScenarioEvent> events;
};

// `tree_from_config`, if given, replaces the scenario's own tree. Throws ScenarioError.
[[nodiscard]] Scenario read_scenario(const Json& json, const supervision::ChildSpec* tree_from_config);

}  // namespace bulkhead::simulation
