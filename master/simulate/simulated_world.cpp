#include "master/simulate/simulated_world.h"

#include <algorithm>
#include <utility>

#include "master/simulate/timeline.h"
#include "master/supervision/words.h"

namespace bulkhead::simulation {

using supervision::Duration;
using supervision::ExitReason;
using supervision::Instant;
using supervision::RunId;
namespace report = supervision::report;

namespace {

ExitReason exit_reason(const std::string& reason) {
  if (reason == "normal") return ExitReason::normal;
  if (reason == "shutdown" || reason == "shutdown_info") return ExitReason::shutdown;
  if (reason == "permanent_failure") return ExitReason::permanent_failure;
  if (reason == "retired") return ExitReason::retired;
  return ExitReason::abnormal;
}

Json stopped_supervisor(const std::string& path, const char* reason, const char* by) {
  return {{"stop", path}, {"type", "supervisor"}, {"reason", reason}, {"by", by}};
}

Json ended_itself(const std::string& path, const char* reason, const char* cause) {
  Json entry = stopped_supervisor(path, reason, "self");
  entry["cause"] = cause;
  return entry;
}

}  // namespace

SimulatedWorld::SimulatedWorld(const Scenario& scenario) : scenario_(scenario), tree_(scenario.tree) {}

void SimulatedWorld::start() {
  feed(supervision::Start{});
}

void SimulatedWorld::shut_down() {
  feed(supervision::StopRequested{});
}

// The end: none is running there.
std::map<RunId, SimulatedWorld::Process>::iterator SimulatedWorld::running(const std::string& path) {
  const auto id = tree_.find(path);
  const auto view = id ? tree_.node(*id, now_) : std::nullopt;
  const auto process = view ? processes_.find(view->run) : processes_.end();
  const bool runs_now = process != processes_.end() && process->second.reason.empty() && process->second.node == *id &&
                        view->state != supervision::NodeState::starting;
  return runs_now ? process : processes_.end();
}

bool SimulatedWorld::exit_if_running(const std::string& path, const std::string& reason) {
  if (running(path) != processes_.end()) {
    exit({{path, reason}});
    return true;
  }
  const auto id = tree_.find(path);
  const auto view = id ? tree_.node(*id, now_) : std::nullopt;
  timeline_.push_back(not_running_entry(now_, path, view ? supervision::kNodeStateWords.text(view->state) : "gone"));
  return false;
}

// All of them are dead before the tree hears of the first one: a stop request that comes now has no receiver.
void SimulatedWorld::exit(const std::vector<Exits::One>& exits) {
  std::vector<RunId> runs;
  for (const Exits::One& one : exits) {
    const auto process = running(one.path);
    if (process == processes_.end()) throw ScenarioError("no worker " + one.path + " is running");
    process->second.reason = one.reason;
    runs.push_back(process->first);
  }
  for (const RunId run : runs) {
    const Process& process = processes_.at(run);
    feed(supervision::ChildExited{process.node, run, exit_reason(process.reason)});
  }
}

supervision::Reply SimulatedWorld::operate(supervision::OperationRequested request) {
  const std::uint64_t token = request.token = ++last_token_;
  feed(request);
  while (!replies_.contains(token)) {
    if (!run_next(Instant::max()))
      throw ScenarioError("this is never answered: it waits for the end of a child that never ends");
  }
  return std::move(replies_.extract(token).mapped());
}

void SimulatedWorld::run_for(Duration duration) {
  const Instant until = now_ + duration;
  while (run_next(until)) {
  }
  now_ = until;
}

void SimulatedWorld::run_until_quiet() {
  while (run_next(Instant::max())) {
  }
}

// At one moment, the actions of processes come before the deadlines.
bool SimulatedWorld::run_next(Instant until) {
  const Instant action = actions_.empty() ? Instant::max() : actions_.begin()->first.first;
  const Instant deadline = tree_.next_deadline().value_or(Instant::max());
  const Instant next = std::min(action, deadline);
  if (next == Instant::max() || next > until) return false;
  now_ = std::max(now_, next);
  if (deadline < action) {
    feed(supervision::DeadlineReached{});
  } else {
    act(actions_.extract(actions_.begin()).mapped());
  }
  return true;
}

void SimulatedWorld::act(const Action& action) {
  const auto process = processes_.find(action.run);
  if (process == processes_.end()) return;  // it has already ended
  const supervision::NodeId node = process->second.node;
  switch (action.next) {
    case Next::ready: return feed(supervision::ChildReady{node, action.run});
    case Next::start_failed: return feed(supervision::StartFailed{node, action.run});
    case Next::exit: return die(action.run, action.reason);
  }
}

void SimulatedWorld::die(RunId run, const std::string& reason) {
  Process& process = processes_.at(run);
  process.reason = reason;
  feed(supervision::ChildExited{process.node, run, exit_reason(reason)});
}

void SimulatedWorld::schedule(Duration delay, Action action) {
  actions_.emplace(Due{now_ + delay, ++last_action_}, std::move(action));
}

void SimulatedWorld::feed(const supervision::Event& event) {
  for (const supervision::Command& command : tree_.step(event, now_)) {
    std::visit([this](const auto& known) { carry_out(known); }, command);
  }
}

void SimulatedWorld::carry_out(const supervision::StartChild& command) {
  const auto view = tree_.node(command.node, now_);
  const std::uint64_t attempt = ++attempts_[view->path];
  const Behaviour& behaviour = scenario_.behaviours.at(view->spec->tag);
  processes_[command.run] = Process{command.node, &behaviour, Json::array(), {}};
  const bool fails = std::ranges::find(behaviour.start_fail, attempt) != behaviour.start_fail.end();
  if (fails) return schedule(behaviour.fail_delay, {command.run, Next::start_failed, {}});
  schedule(Duration::zero(), {command.run, Next::ready, {}});
  if (behaviour.is_job) schedule(Duration::zero(), {command.run, Next::exit, "normal"});
}

void SimulatedWorld::carry_out(const supervision::StopChild& command) {
  Process& process = processes_.at(command.run);
  if (!process.reason.empty()) return;
  process.signals.push_back("TERM");
  on_terminate(command.run, *process.behaviour);
}

void SimulatedWorld::on_terminate(RunId run, const Behaviour& behaviour) {
  using On = Behaviour::OnTerminate;
  switch (behaviour.on_terminate) {
    case On::exit: return schedule(Duration::zero(), {run, Next::exit, "shutdown"});
    case On::exit_normal: return schedule(Duration::zero(), {run, Next::exit, "normal"});
    case On::exit_crash: return schedule(Duration::zero(), {run, Next::exit, "crash"});
    case On::exit_slow: return schedule(behaviour.delay, {run, Next::exit, "shutdown"});
    case On::ignore: return;
  }
}

void SimulatedWorld::carry_out(const supervision::KillChild& command) {
  Process& process = processes_.at(command.run);
  if (!process.reason.empty()) return;
  process.signals.push_back("KILL");
  schedule(Duration::zero(), {command.run, Next::exit, "killed"});
}

void SimulatedWorld::carry_out(const supervision::Reply& command) {
  replies_.emplace(command.token, command);
}

// Before the record of an end forgets its process.
void SimulatedWorld::note(const supervision::Report& report) {
  const auto* const exited = std::get_if<report::ChildExited>(&report);
  Json entry = timeline_entry(now_, report, exited != nullptr ? processes_.at(exited->run).reason : std::string());
  if (!entry.is_null()) timeline_.push_back(std::move(entry));
}

void SimulatedWorld::carry_out(const supervision::Report& report) {
  note(report);
  std::visit([this](const auto& known) { record(known); }, report);
}

void SimulatedWorld::carry_out(const supervision::TreeEnding&) {}  // here, roots end at once

void SimulatedWorld::carry_out(const supervision::TreeTerminated&) {}  // visible in the state of the root

void SimulatedWorld::record(const report::SupervisorStarted& report) {
  trace_.push_back({{"start", report.path}, {"type", "supervisor"}});
}

void SimulatedWorld::record(const report::SupervisorTerminated& report) {
  using supervision::Cause;
  switch (report.cause) {
    case Cause::request: return trace_.push_back(stopped_supervisor(report.path, "shutdown", "request"));
    case Cause::parent: return trace_.push_back(stopped_supervisor(report.path, "shutdown", "supervisor"));
    case Cause::intensity: return trace_.push_back(ended_itself(report.path, "shutdown", "intensity"));
    case Cause::auto_shutdown: return trace_.push_back(ended_itself(report.path, "shutdown", "auto_shutdown"));
    case Cause::start_failed: return trace_.push_back(ended_itself(report.path, "start_failed", "start_failed"));
  }
}

void SimulatedWorld::record(const report::ChildReady& report) {
  trace_.push_back(Json{{"start", report.path}});
}

void SimulatedWorld::record(const report::StartFailed& report) {
  trace_.push_back(Json{{"start_failed", report.path}});
  processes_.erase(report.run);
}

// The process knows who ended it: if it died before the stop request, it ended by itself.
void SimulatedWorld::record(const report::ChildExited& report) {
  const Process& process = processes_.at(report.run);
  Json entry{
      {"stop", report.path}, {"reason", process.reason}, {"by", process.signals.empty() ? "self" : "supervisor"}};
  if (!process.signals.empty()) entry["signals"] = process.signals;
  trace_.push_back(std::move(entry));
  processes_.erase(report.run);
}

bool SimulatedWorld::root_is_running() const {
  return tree_.node(supervision::kRoot, now_)->state != supervision::NodeState::stopped;
}

Json SimulatedWorld::take_timeline() {
  return std::exchange(timeline_, Json::array());
}

Json SimulatedWorld::take_trace() {
  return std::exchange(trace_, Json::array());
}

}  // namespace bulkhead::simulation
