#include "master/supervision/tree_context.h"

#include "master/supervision/cause_chain.h"
#include "master/supervision/supervisor.h"

namespace bulkhead::supervision {

Node::Node(NodeId node_id, NodeId parent_id, std::shared_ptr<const ChildSpec> child_spec, std::string node_path)
    : id(node_id), parent(parent_id), spec(std::move(child_spec)), path(std::move(node_path)) {}
Node::~Node() = default;

TreeContext::TreeContext(std::uint64_t seed, bool root_asks) : jitter_(seed), root_asks_(root_asks) {}
TreeContext::~TreeContext() = default;

Node* TreeContext::find(NodeId id) const {
  const auto found = nodes_.find(id);
  return found == nodes_.end() ? nullptr : found->second.get();
}

Node& TreeContext::add(NodeId parent, std::shared_ptr<const ChildSpec> spec, std::string path) {
  const NodeId id = ++last_id_;
  auto node = std::make_unique<Node>(id, parent, std::move(spec), std::move(path));
  node->since = now_;
  return *nodes_.emplace(id, std::move(node)).first->second;
}

void TreeContext::remove(NodeId id) {
  if (Node* node = find(id)) disarm(*node);
  nodes_.erase(id);
}

void TreeContext::set_state(Node& node, NodeState state) {
  if (node.state == state) return;
  node.state = state;
  node.since = now_;
}

void TreeContext::prepare_start(Node& node) {
  node.run = ++last_run_;
  node.exit_pending = false;
  node.called_off = false;
  node.withdrawn = false;
  node.dormant = false;
  node.due.reset();
  disarm(node);
  node.ready_at.reset();
  node.ready_for.reset();
  node.how.clear();
  set_state(node, NodeState::starting);
}

void TreeContext::begin_leaf(Node& node) {
  report(report::ChildStarted{node.id, node.path, node.run});
  emit(StartChild{node.id, node.run});
}

void TreeContext::start_later(Node& node, Duration delay) {
  prepare_start(node);
  arm(node, delay);
  node.due = node.deadline;
}

// A supervisor that ends starts nothing, even if the turn of the child to be stopped has not come yet.
void TreeContext::start_now(Node& node) {
  if (find(node.parent)->state == NodeState::stopping) return forget_run(node);
  node.due.reset();
  begin_leaf(node);
}

void TreeContext::start(Node& node) {
  prepare_start(node);
  if (node.is_supervisor()) {
    report(report::SupervisorStarted{node.id, node.path});
    node.supervisor = std::make_unique<Supervisor>(*this, node);
    node.supervisor->start();
  } else {
    begin_leaf(node);
  }
}

bool TreeContext::stop(Node& node) {
  if (node.exit_pending || !node.has_process()) return false;
  if (node.state == NodeState::stopping) return true;
  if (node.state == NodeState::starting && node.due) return forget_run(node), false;
  set_state(node, NodeState::stopping);
  if (node.supervisor) {
    post(node.id, Stop{});
  } else if (node.spec->shutdown.kind == Shutdown::Kind::brutal_kill) {
    kill(node);
  } else {
    report(report::ChildStopping{node.id, node.path, node.run, false});
    emit(StopChild{node.id, node.run});
    if (node.spec->shutdown.kind == Shutdown::Kind::timeout) arm(node, node.spec->shutdown.timeout);
  }
  return true;
}

void TreeContext::kill(Node& node) {
  report(report::ChildStopping{node.id, node.path, node.run, true});
  emit(KillChild{node.id, node.run});
}

void TreeContext::wait(Node& node, Duration delay) {
  set_state(node, NodeState::waiting);
  arm(node, delay);
  node.due = node.deadline;
}

void TreeContext::forget_run(Node& node) {
  disarm(node);
  node.exit_pending = false;
  node.due.reset();
  set_state(node, NodeState::stopped);
}

void TreeContext::up(Node& node) {
  set_state(node, NodeState::running);
  node.ready_at = now_;
  node.shortages = 0;
  answer(node, Answer::Kind::up);
}

void TreeContext::start_failed(Node& node, ExitReason reason) {
  const bool for_good = reason == ExitReason::permanent_failure;
  const bool special = for_good || reason == ExitReason::shortage;
  node.ending = special ? ending_of(reason) : Ending::start_failed;
  set_state(node, for_good ? NodeState::failed : NodeState::stopped);
  answer(node, Answer::Kind::start_failed);
}

void TreeContext::gone(Node& node, ExitReason reason) {
  if (node.ready_at) node.ready_for = now_ - *node.ready_at;
  node.ready_at.reset();
  disarm(node);
  const bool awaited = is_awaited(node);
  const bool for_good = reason == ExitReason::permanent_failure && !awaited;
  set_state(node, for_good ? NodeState::failed : NodeState::stopped);
  if (awaited) return answer(node, Answer::Kind::down);
  node.exit_pending = true;
  post(node.parent, ChildGone{node.id, node.run, reason});
}

void TreeContext::supervisor_gone(Node& node) {
  ended_.push_back(std::move(node.supervisor));
  if (node.id == kRoot) return set_state(node, NodeState::stopped);
  if (node.ending == Ending::start_failed) return start_failed(node, ExitReason::abnormal);
  if (node.ending == Ending::shortage) return start_failed(node, ExitReason::shortage);
  gone(node, ExitReason::shutdown);
}

bool TreeContext::is_awaited(const Node& node) const {
  const Node* parent = find(node.parent);
  return parent != nullptr && parent->supervisor && parent->supervisor->awaits(node.id);
}

void TreeContext::answer(const Node& node, Answer::Kind kind) {
  if (node.id != kRoot) answers_.push_back(Answer{node.parent, node.id, kind});
}

void TreeContext::post(NodeId supervisor, Message message) {
  Node* node = find(supervisor);
  if (node == nullptr || !node->supervisor) return;
  node->supervisor->receive(std::move(message));
}

// Answers are handled first: a supervisor that waits for one is in the middle of a job.
void TreeContext::run() {
  while (!answers_.empty() || !runnable_.empty()) {
    if (!answers_.empty()) {
      const Answer next = answers_.front();
      answers_.pop_front();
      deliver(next);
    } else {
      Node* node = find(runnable_.front());
      runnable_.pop_front();
      if (node != nullptr && node->supervisor) node->supervisor->handle_next();
    }
  }
  ended_.clear();
}

void TreeContext::deliver(const Answer& answer) {
  Node* parent = find(answer.supervisor);
  const bool both_exist = parent != nullptr && parent->supervisor && find(answer.child) != nullptr;
  if (both_exist) parent->supervisor->answered(answer.child, answer.kind);
}

void TreeContext::arm(Node& node, Duration delay) {
  disarm(node);
  if (delay > Instant::max() - now_) return;  // later than the clock can count: never
  node.deadline = now_ + delay;
  deadlines_.emplace(*node.deadline, node.id);
}

void TreeContext::disarm(Node& node) {
  if (node.deadline) deadlines_.erase({*node.deadline, node.id});
  node.deadline.reset();
}

void TreeContext::act_on_deadlines() {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now_) {
    Node& node = *find(deadlines_.begin()->second);
    disarm(node);
    if (node.state == NodeState::stopping) kill(node);
    if (node.state == NodeState::waiting) post(node.parent, DelayOver{node.id});
    if (node.state == NodeState::starting && node.due) start_now(node);
  }
}

std::optional<Instant> TreeContext::next_deadline() const {
  if (deadlines_.empty()) return std::nullopt;
  return deadlines_.begin()->first;
}

std::vector<Command> TreeContext::take_commands() {
  return std::exchange(commands_, {});
}

}  // namespace bulkhead::supervision
