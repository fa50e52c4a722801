#include "tests/unit/supervision/rehearsal.h"

#include <array>
#include <utility>

namespace bulkhead::supervision::testing {

namespace {

constexpr std::array kStates{"starting", "running", "waiting", "restarting", "stopping", "stopped", "failed"};
constexpr std::array kCauses{"request", "parent", "intensity", "auto_shutdown", "start_failed"};
constexpr std::array kErrors{"ok",           "not_found",       "running",
                             "restarting",   "already_started", "already_present",
                             "start_failed", "invalid_spec",    "noproc"};

ChildSpec root(std::vector<ChildSpec> children, SupervisorFlags flags) {
  return supervisor("root", std::move(children), flags);
}

struct Words {
  std::string operator()(const report::SupervisorStarted& r) const { return "+ " + r.path; }
  std::string operator()(const report::SupervisorTerminated& r) const {
    return "- " + r.path + " " + kCauses.at(static_cast<std::size_t>(r.cause));
  }
  std::string operator()(const report::ChildStarted& r) const { return "start " + r.path; }
  std::string operator()(const report::ChildReady& r) const { return "ready " + r.path; }
  std::string operator()(const report::StartFailed& r) const { return "failed " + r.path; }
  std::string operator()(const report::ChildStopping& r) const { return (r.kill ? "kill " : "stop ") + r.path; }
  std::string operator()(const report::ChildExited& r) const { return (r.asked ? "stopped " : "exit ") + r.path; }
  std::string operator()(const report::ChildRestarting& r) const {
    const auto ms = std::chrono::duration_cast<milliseconds>(r.delay).count();
    return "restart " + r.path + " " + std::to_string(ms) + " ms #" + std::to_string(r.restarts_in_window);
  }
  std::string operator()(const report::RestartPostponed& r) const {
    return "postponed " + r.path + " " + std::to_string(std::chrono::duration_cast<milliseconds>(r.delay).count()) +
           " ms";
  }
  std::string operator()(const report::ChildRemoved& r) const { return "removed " + r.path; }
  std::string operator()(const report::IntensityExceeded& r) const { return "exceeded " + r.child; }
};

}  // namespace

ChildSpec child(std::string id, Restart restart) {
  ChildSpec spec;
  spec.id = std::move(id);
  spec.restart = restart;
  return spec;
}

ChildSpec significant(std::string id, Restart restart) {
  ChildSpec spec = child(std::move(id), restart);
  spec.significant = true;
  return spec;
}

ChildSpec supervisor(std::string id, std::vector<ChildSpec> children, SupervisorFlags flags) {
  ChildSpec spec = child(std::move(id));
  spec.type = NodeType::supervisor;
  spec.shutdown.kind = Shutdown::Kind::infinity;
  spec.flags = flags;
  spec.children = std::move(children);
  return spec;
}

SupervisorFlags flags(Strategy strategy, std::uint32_t max_restarts, AutoShutdown auto_shutdown) {
  return {strategy, max_restarts, seconds(5), auto_shutdown};
}

Rehearsal::Rehearsal(std::vector<ChildSpec> children, SupervisorFlags flags, RootEnd root_end)
    : tree_(root(std::move(children), flags), 0, root_end) {}

void Rehearsal::feed(const Event& event) {
  for (const Command& command : tree_.step(event, now_)) {
    std::visit([this](const auto& known) { carry_out(known); }, command);
  }
  if (answers_.empty()) return;
  const Event next = std::move(answers_.front());
  answers_.erase(answers_.begin());
  feed(next);
}

void Rehearsal::ready(const std::string& path) {
  const NodeView node = *view(path);
  feed(ChildReady{node.id, node.run});
}

void Rehearsal::start_fails(const std::string& path, std::string how) {
  const NodeView node = *view(path);
  feed(StartFailed{node.id, node.run, ExitReason::abnormal, std::move(how)});
}

void Rehearsal::exit(const std::string& path, ExitReason reason, std::string how) {
  const NodeView node = *view(path);
  feed(ChildExited{node.id, node.run, reason, std::move(how)});
}

void Rehearsal::pass(Duration duration) {
  const Instant until = now_ + duration;
  while (tree_.next_deadline() && *tree_.next_deadline() <= until) {
    now_ = *tree_.next_deadline();
    feed(DeadlineReached{});
  }
  now_ = until;
}

void Rehearsal::carry_out(const StartChild& command) {
  const std::string path = tree_.node(command.node, now_)->path;
  if (slow_to_start.contains(path)) return;
  if (starving) {
    answers_.emplace_back(StartFailed{command.node, command.run, ExitReason::shortage});
  } else if (failing[path] > 0) {
    --failing[path];
    answers_.emplace_back(StartFailed{command.node, command.run});
  } else if (hopeless.contains(path)) {
    answers_.emplace_back(StartFailed{command.node, command.run, ExitReason::permanent_failure});
  } else {
    answers_.emplace_back(ChildReady{command.node, command.run});
  }
}

void Rehearsal::carry_out(const StopChild& command) {
  if (slow_to_stop.contains(tree_.node(command.node, now_)->path)) return;
  answers_.emplace_back(ChildExited{command.node, command.run, ExitReason::shutdown});
}

void Rehearsal::carry_out(const KillChild& command) {
  answers_.emplace_back(ChildExited{command.node, command.run, ExitReason::abnormal});
}

void Rehearsal::carry_out(const Reply& command) {
  replies_[command.token] = command.error;
}

void Rehearsal::carry_out(const Report& report) {
  log_.push_back(std::visit(Words{}, report));
}

void Rehearsal::carry_out(const TreeEnding& command) {
  log_.push_back(std::string("ending ") + kCauses.at(static_cast<std::size_t>(command.cause)));
  chain_ = command.chain;
}

void Rehearsal::carry_out(const TreeTerminated& command) {
  log_.push_back(std::string("over ") + kCauses.at(static_cast<std::size_t>(command.cause)));
  chain_ = command.chain;
}

std::string Rehearsal::operate(Operation operation, const std::string& supervisor, const std::string& id,
                               ChildSpec spec) {
  const std::uint64_t token = ++token_;
  feed(OperationRequested{token, operation, supervisor, id, std::move(spec)});
  return answer(token);
}

std::string Rehearsal::answer(std::uint64_t token) const {
  const auto found = replies_.find(token);
  return found == replies_.end() ? "-" : kErrors.at(static_cast<std::size_t>(found->second));
}

std::string Rehearsal::terminate_child(const std::string& supervisor, const std::string& id) {
  return operate(Operation::terminate_child, supervisor, id);
}
std::string Rehearsal::restart_child(const std::string& supervisor, const std::string& id) {
  return operate(Operation::restart_child, supervisor, id);
}
std::string Rehearsal::withdraw_child(const std::string& supervisor, const std::string& id) {
  return operate(Operation::withdraw_child, supervisor, id);
}
std::string Rehearsal::restart_group(const std::string& supervisor, const std::string& id) {
  return operate(Operation::restart_group, supervisor, id);
}
std::string Rehearsal::delete_child(const std::string& supervisor, const std::string& id) {
  return operate(Operation::delete_child, supervisor, id);
}
std::string Rehearsal::start_children(const std::string& supervisor, ChildSpec with) {
  return operate(Operation::start_children, supervisor, {}, std::move(with));
}

std::string Rehearsal::start_child(const std::string& supervisor, ChildSpec spec) {
  return operate(Operation::start_child, supervisor, {}, std::move(spec));
}

Log Rehearsal::log() {
  return std::exchange(log_, {});
}

Log Rehearsal::log(const std::set<std::string>& words) {
  Log some;
  for (const std::string& line : log()) {
    if (words.contains(line.substr(0, line.find(' ')))) some.push_back(line);
  }
  return some;
}

std::optional<NodeView> Rehearsal::view(const std::string& path) const {
  const auto id = tree_.find(path);
  return id ? tree_.node(*id, now_) : std::nullopt;
}

std::string Rehearsal::state(const std::string& path) const {
  const auto node = view(path);
  return node ? kStates.at(static_cast<std::size_t>(node->state)) : "gone";
}

void Rehearsal::add_states(NodeId id, std::string& out) const {
  const NodeView node = *tree_.node(id, now_);
  if (id != kRoot) {
    out += (out.empty() ? "" : " ") + node.path.substr(5) + ":" + kStates.at(static_cast<std::size_t>(node.state));
  }
  for (const NodeId next : node.children) add_states(next, out);
}

std::string Rehearsal::states() const {
  std::string out;
  add_states(kRoot, out);
  return out;
}

}  // namespace bulkhead::supervision::testing
