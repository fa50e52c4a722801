// `bulkheadctl simulate`: replays scenarios against the supervision rules in virtual time, so that a policy can be
// rehearsed before it is needed. The format is that of the recorded OTP scenarios, tests/vectors/README.md, extended by
// the exit reasons `permanent_failure` and `retired`.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "master/supervision/child_spec.h"

namespace bulkhead::simulation {

struct SimulateResult {
  std::string output;  // the scenarios with expect_start and expect filled in, in the layout of the recorded files
  std::string error;   // empty, or one sentence; then `output` is empty
};

// The tag of a process, in a tree from a configuration, that is a job: it ends normally as soon as it is ready.
inline constexpr std::uint32_t kJobTag = 1;

// A process that ends with a crash, so long after everything has started. At that moment it may not be running.
struct Crash {
  std::string path;
  supervision::Duration at;
};

// `scenario_text` is one scenario or an array of them, and so is the output. With `tree_from_config` every scenario
// runs on that tree: its own `tree` is left out, and every worker ends immediately when it is asked to.
[[nodiscard]] SimulateResult simulate(std::string_view scenario_text, const supervision::ChildSpec* tree_from_config);

// The same for people: {"scenarios":[{"name","steps":[{"what","timeline","nodes","root"}]}]}, where the first step is
// the start, `what` is the event of the scenario, `timeline` is as in timeline.h, and `nodes` has {"path","state"} for
// each.
[[nodiscard]] SimulateResult tell_scenarios(std::string_view scenario_text,
                                            const supervision::ChildSpec* tree_from_config);

// The tree starts, and these processes crash: {"timeline","nodes","root"}, until nothing happens any more. Times count
// from the moment when everything has started.
[[nodiscard]] SimulateResult tell_crashes(const supervision::ChildSpec& tree, std::vector<Crash> crashes);

}  // namespace bulkhead::simulation
