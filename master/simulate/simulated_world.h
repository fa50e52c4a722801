// The world of a scenario: a Tree, simulated processes, and virtual time. Internal to the simulator.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "master/simulate/scenario.h"

namespace bulkhead::simulation {

class SimulatedWorld {
 public:
  explicit SimulatedWorld(const Scenario& scenario);

  void start();
  void exit(const std::vector<Exits::One>& exits);  // throws ScenarioError if one of them is not running
  void shut_down();
  // Lets time pass until the answer has come. Throws ScenarioError if it never comes.
  [[nodiscard]] supervision::Reply operate(supervision::OperationRequested request);

  void run_for(supervision::Duration duration);
  void run_until_quiet();

  [[nodiscard]] const supervision::Tree& tree() const { return tree_; }
  [[nodiscard]] supervision::Instant now() const { return now_; }
  [[nodiscard]] bool root_is_running() const;
  // A process that is running ends by itself with this reason. False: it is not running, which the timeline tells.
  bool exit_if_running(const std::string& path, const std::string& reason);
  [[nodiscard]] Json take_trace();     // what happened since the last call
  [[nodiscard]] Json take_timeline();  // the same with its times, as timeline.h has it

 private:
  // A process that is starting or running.
  struct Process {
    supervision::NodeId node = 0;
    const Behaviour* behaviour = nullptr;
    Json signals = Json::array();
    std::string reason;  // reason of its end; not empty: it is dead, but its supervisor may not know that yet
  };
  enum class Next : std::uint8_t { ready, start_failed, exit };
  struct Action {
    supervision::RunId run;
    Next next;
    std::string reason;
  };
  using Due =
      std::pair<supervision::Instant, std::uint64_t>;  // the number keeps the order of what is due at the same time

  [[nodiscard]] std::map<supervision::RunId, Process>::iterator running(const std::string& path);
  void note(const supervision::Report& report);
  void feed(const supervision::Event& event);
  bool run_next(supervision::Instant until);  // false: nothing is due until then
  void act(const Action& action);
  void schedule(supervision::Duration delay, Action action);
  void die(supervision::RunId run, const std::string& reason);
  void on_terminate(supervision::RunId run, const Behaviour& behaviour);

  void carry_out(const supervision::StartChild& command);
  void carry_out(const supervision::StopChild& command);
  void carry_out(const supervision::KillChild& command);
  void carry_out(const supervision::Reply& command);
  void carry_out(const supervision::Report& report);
  void carry_out(const supervision::TreeEnding& command);
  void carry_out(const supervision::TreeTerminated& command);

  void record(const supervision::report::SupervisorStarted& report);
  void record(const supervision::report::SupervisorTerminated& report);
  void record(const supervision::report::ChildReady& report);
  void record(const supervision::report::StartFailed& report);
  void record(const supervision::report::ChildExited& report);
  template <typename Other>
  void record(const Other&) {}  // not part of the trace

  const Scenario& scenario_;
  supervision::Tree tree_;
  supervision::Instant now_{};
  std::uint64_t last_token_ = 0;
  std::uint64_t last_action_ = 0;
  std::unordered_map<std::string, std::uint64_t> attempts_;  // by path, over the whole scenario
  std::map<supervision::RunId, Process> processes_;
  std::map<Due, Action> actions_;
  std::map<std::uint64_t, supervision::Reply> replies_;
  Json trace_ = Json::array();
  Json timeline_ = Json::array();
};

}  // namespace bulkhead::simulation
