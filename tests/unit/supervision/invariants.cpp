#include "tests/unit/supervision/invariants.h"

#include <algorithm>

#include "master/supervision/path.h"

namespace bulkhead::supervision::testing {

namespace {

constexpr Instant kBeginning{std::chrono::seconds(1000)};

bool is_alive(NodeState state) {
  return state == NodeState::starting || state == NodeState::running || state == NodeState::stopping;
}

}  // namespace

WatchedTree::WatchedTree(const ChildSpec& root, std::uint64_t seed)
    : tree_(root, seed, seed % 2 == 1 ? RootEnd::asks : RootEnd::at_once) {}

void WatchedTree::require(bool holds, const char* what) {
  if (!holds) throw InvariantViolated(what);
}

void WatchedTree::step(const Event& event, Instant now) {
  now_ = now;
  note(event);
  const bool was_over = over_;
  ending_.clear();
  note_who_is_ending(kRoot);
  for (const Command& command : tree_.step(event, now)) {
    require(!was_over || std::holds_alternative<Reply>(command), "a tree that is over only answers");
    std::visit([this](const auto& known) { check(known); }, command);
  }
  check_views();
}

void WatchedTree::update(const ChildSpec& root) {
  tree_.update(root);
  reordered_ = true;
  take_new_limits(kRoot);
  check_views();
}

void WatchedTree::take_new_limits(NodeId id) {
  const NodeView view = *tree_.node(id, now_);
  const auto window = windows_.find(view.path);
  if (window != windows_.end()) {
    window->second.max_restarts = view.spec->flags.max_restarts;
    window->second.max_seconds = view.spec->flags.max_seconds;
    std::deque<Instant>& restarts = window->second.restarts;
    while (restarts.size() > window->second.max_restarts.value_or(restarts.size())) restarts.pop_front();
  }
  for (const NodeId child : view.children) take_new_limits(child);
}

// Records what the event says about existing processes; about others it must have no effect.
void WatchedTree::note(const Event& event) {
  if (const auto* ready = std::get_if<ChildReady>(&event)) {
    const auto process = processes_.find(ready->run);
    const bool known = process != processes_.end() && process->second.node == ready->node;
    if (known && process->second.phase == Phase::starting) process->second.phase = Phase::running;
  } else if (const auto* failed = std::get_if<StartFailed>(&event)) {
    const auto process = processes_.find(failed->run);
    if (process != processes_.end() && process->second.node == failed->node) processes_.erase(process);
  } else if (const auto* exited = std::get_if<ChildExited>(&event)) {
    const auto process = processes_.find(exited->run);
    if (process != processes_.end() && process->second.node == exited->node) processes_.erase(process);
  } else if (const auto* operation = std::get_if<OperationRequested>(&event)) {
    unanswered_.insert(operation->token);
    const bool starts =
        operation->operation == Operation::restart_child || operation->operation == Operation::restart_group;
    if (starts) named_.insert(child_of(operation->supervisor, operation->id));
    for (const ChildSpec& child : operation->spec.children) named_.insert(child_of(operation->supervisor, child.id));
  }
  stop_requested_ = stop_requested_ || std::holds_alternative<StopRequested>(event);
}

void WatchedTree::check(const StartChild& command) {
  const auto view = tree_.node(command.node, now_);
  require(view.has_value(), "only an entry of the tree is started");
  require(!supervises(view->spec->type), "supervisors are not processes");
  for (const auto& [run, process] : processes_) {
    require(process.node != command.node, "a child is not started while it runs");
    require(run < command.run || delayed_.contains(command.run), "runs are numbered upwards");
  }
  require(runs_.insert(command.run).second, "a run begins once");
  require(!view->spec->manual || named_.contains(view->path), "a manual child is started by operators");
  const auto parent = tree_.node(view->parent, now_);
  require(!ending_.contains(parent->path), "a supervisor that ends starts nothing");
  processes_[command.run] = Process{command.node, Phase::starting};
}

void WatchedTree::check(const StopChild& command) {
  const auto process = processes_.find(command.run);
  require(process != processes_.end() && process->second.node == command.node, "only a running process is stopped");
  require(process->second.phase != Phase::stopping, "a child is stopped once");
  process->second.phase = Phase::stopping;
}

void WatchedTree::check(const KillChild& command) {
  const auto process = processes_.find(command.run);
  require(process != processes_.end() && process->second.node == command.node, "only a running process is killed");
  require(!process->second.killed, "a child is killed once");
  process->second.killed = true;
  process->second.phase = Phase::stopping;
}

void WatchedTree::check(const Reply& command) {
  require(unanswered_.erase(command.token) == 1, "every operation is answered once, and only those that were asked");
}

void WatchedTree::check(const Report& report) {
  std::visit([this](const auto& known) { check_report(known); }, report);
}

void WatchedTree::check(const TreeEnding& command) {
  require(!over_ && !asked_, "a root asks once, before it has ended");
  require(!stop_requested_, "a root that ends on request does not ask");
  require(command.cause != Cause::request && !command.chain.empty(), "a root that ends by itself has a cause");
  asked_ = true;
}

void WatchedTree::check(const TreeTerminated& command) {
  require(!over_, "a tree ends once");
  require(processes_.empty(), "a tree that is over has no processes");
  require(!command.chain.empty(), "an end has a cause");
  require(command.cause != Cause::request || stop_requested_, "the root ended without a request to stop");
  over_ = true;
}

void WatchedTree::check_report(const report::SupervisorStarted& report) {
  const auto view = tree_.node(report.node, now_);
  windows_.erase(report.path);
  ending_.erase(report.path);
  if (!view) return;  // removed again within the step
  windows_[report.path] = Window{view->spec->flags.max_restarts, view->spec->flags.max_seconds};
}

void WatchedTree::check_report(const report::SupervisorTerminated& report) {
  windows_.erase(report.path);
  for (const auto& [run, process] : processes_) {
    const auto view = tree_.node(process.node, now_);
    require(view.has_value(), "a process has an entry");
    require(!is_at_or_below(view->path, report.path), "a supervisor ends after its children");
  }
}

// Entries are numbered in start order, so a supervisor that ends stops them with falling numbers. The kills of stops
// that were under way before may come at any time.
void WatchedTree::check_report(const report::ChildStopping& report) {
  const auto window = windows_.find(parent_of(report.path));
  if (window == windows_.end() || !ending_.contains(parent_of(report.path)) || report.kill) return;
  const NodeId last = window->second.last_stopped;
  require(reordered_ || last == 0 || report.node < last, "stops come in reverse order");
  window->second.last_stopped = report.node;
}

void WatchedTree::note_who_is_ending(NodeId id) {
  const auto view = tree_.node(id, now_);
  if (supervises(view->spec->type) && view->state == NodeState::stopping) ending_.insert(view->path);
  for (const NodeId child : view->children) note_who_is_ending(child);
}

void WatchedTree::check_report(const report::ChildExited& report) {
  require(!processes_.contains(report.run), "an exit is reported when it has happened");
}

void WatchedTree::check_report(const report::ChildRestarting& report) {
  const auto window = windows_.find(parent_of(report.path));
  if (window == windows_.end()) return;
  std::deque<Instant>& restarts = window->second.restarts;
  restarts.push_back(now_);
  while (now_ - restarts.front() > window->second.max_seconds) restarts.pop_front();
  require(!window->second.max_restarts || restarts.size() <= window->second.max_restarts,
          "never more than max_restarts within max_seconds");
  require(restarts.size() == report.restarts_in_window, "the report counts right");
}

void WatchedTree::check_report(const report::IntensityExceeded& report) {
  const auto window = windows_.find(report.path);
  if (window == windows_.end()) return;
  std::deque<Instant>& restarts = window->second.restarts;
  while (!restarts.empty() && now_ - restarts.front() > window->second.max_seconds) restarts.pop_front();
  require(restarts.size() == window->second.max_restarts, "a supervisor gives up only when max_restarts are used up");
}

void WatchedTree::check_views() {
  require(check_view(*tree_.node(kRoot, now_)) == processes_.size(), "no process lives outside the tree");
  require(!over_ || !tree_.next_deadline(), "a tree that is over waits for nothing");
}

std::size_t WatchedTree::check_view(const NodeView& view) {
  require(view.since <= now_, "a state began before now");
  const bool may_be_due = view.state == NodeState::waiting || view.state == NodeState::starting;
  require(view.state != NodeState::waiting || view.due, "a waiting child has a due time");
  require(!view.due || may_be_due, "only what waits for its start has a due time");
  return supervises(view.spec->type) ? check_supervisor(view) : check_leaf(view);
}

std::size_t WatchedTree::check_leaf(const NodeView& view) {
  const auto process = processes_.find(view.run);
  const bool runs = process != processes_.end() && process->second.node == view.id;
  const bool is_delayed = view.state == NodeState::starting && view.due;
  if (is_delayed) delayed_.insert(view.run);
  if (!view.spec->manual) named_.insert(view.path);  // an update may make it manual
  require(runs == (is_alive(view.state) && !is_delayed), "an entry is alive when its process is");
  return runs ? 1 : 0;
}

std::size_t WatchedTree::check_supervisor(const NodeView& view) {
  require(is_alive(view.state) || view.children.empty(), "a supervisor that is gone has no children");
  const auto limit = view.spec->flags.max_restarts;
  require(!limit || view.restarts_in_window <= *limit, "the window holds max_restarts at most");
  require(reordered_ || std::ranges::is_sorted(view.children), "entries are in start order");
  std::size_t living = 0;
  for (const NodeId child : view.children) {
    const NodeView below = *tree_.node(child, now_);
    require(below.parent == view.id, "a child knows its supervisor");
    living += check_view(below);
  }
  return living;
}

void WatchedTree::settle(Instant now) {
  for (int rounds = 0; rounds < 10'000; ++rounds) {
    if (!processes_.empty()) {
      const auto busy =
          std::ranges::find_if(processes_, [](const auto& p) { return p.second.phase != Phase::running; });
      if (busy != processes_.end()) {
        const auto [run, process] = *busy;
        if (process.phase == Phase::starting) step(ChildReady{process.node, run}, now);
        if (process.phase == Phase::stopping) step(ChildExited{process.node, run, ExitReason::shutdown}, now);
        continue;
      }
    }
    if (asked_ && !stop_requested_) {
      step(StopRequested{}, now);
      continue;
    }
    if (!tree_.next_deadline()) break;
    now = std::max(now, *tree_.next_deadline());
    step(DeadlineReached{}, now);
  }
  require(!tree_.next_deadline(), "a tree comes to rest");
  require(is_settled(kRoot), "a child that waits for its restart gets it");
  require(unanswered_.empty(), "every operation is answered");
  require(!stop_requested_ || over_, "a tree that was asked to stop is over");
  require(!over_ || processes_.empty(), "a tree that is over has no processes");
}

bool WatchedTree::is_settled(NodeId id) const {
  const NodeView view = *tree_.node(id, now_);
  if (view.state == NodeState::waiting || view.state == NodeState::restarting) return false;
  return std::ranges::all_of(view.children, [this](NodeId child) { return is_settled(child); });
}

namespace {

constexpr std::uint32_t kMaxChildren = 3;

ChildSpec random_child(Choices& choices, std::string id, AutoShutdown parent, int depth);

SupervisorFlags random_flags(Choices& choices) {
  SupervisorFlags flags;
  flags.strategy = static_cast<Strategy>(choices.choose(3));
  flags.max_restarts = choices.choose(6);
  if (flags.max_restarts == 5U) flags.max_restarts.reset();
  flags.max_seconds = std::chrono::milliseconds(1 + choices.choose(3) * 400);
  flags.auto_shutdown = static_cast<AutoShutdown>(choices.choose(3));
  return flags;
}

void random_children(Choices& choices, ChildSpec& spec, int depth) {
  const std::uint32_t count = choices.choose(kMaxChildren + 1) + (depth == 0 ? 1 : 0);
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::string id(1, static_cast<char>('a' + i));
    spec.children.push_back(random_child(choices, id, spec.flags.auto_shutdown, depth + 1));
  }
}

Shutdown random_shutdown(Choices& choices) {
  return {static_cast<Shutdown::Kind>(choices.choose(3)), std::chrono::milliseconds(choices.choose(300))};
}

RestartDelay random_delay(Choices& choices) {
  RestartDelay delay;
  delay.enabled = choices.choose(2) == 1;
  delay.min = std::chrono::milliseconds(choices.choose(100));
  delay.max = delay.min + std::chrono::milliseconds(choices.choose(1000));
  delay.reset_after = std::chrono::milliseconds(500);
  delay.immediate_after_ready = choices.choose(4) == 1;
  delay.stable_run = std::chrono::milliseconds(100);
  return delay;
}

ChildSpec random_child(Choices& choices, std::string id, AutoShutdown parent, int depth) {
  ChildSpec spec;
  spec.id = std::move(id);
  spec.restart = static_cast<Restart>(choices.choose(3));
  spec.significant = parent != AutoShutdown::never && spec.restart != Restart::permanent && choices.choose(3) == 1;
  if (choices.choose(2) == 1) spec.restart_delay = random_delay(choices);
  spec.type = depth < 3 && choices.choose(4) == 1 ? NodeType::supervisor : NodeType::process;
  if (spec.type == NodeType::process) {
    spec.shutdown = random_shutdown(choices);
    spec.manual = choices.choose(6) == 1;
    if (choices.choose(6) == 1) spec.start_delay = std::chrono::milliseconds(choices.choose(300));
  } else {
    spec.flags = random_flags(choices);
    random_children(choices, spec, depth);
  }
  return spec;
}

// One process; mostly an existing one.
std::optional<std::pair<RunId, WatchedTree::Process>> pick(const WatchedTree& tree, Choices& choices) {
  if (tree.processes().empty()) return std::nullopt;
  const auto nth = choices.choose(static_cast<std::uint32_t>(tree.processes().size()));
  return *std::next(tree.processes().begin(), nth);
}

Event random_news(const WatchedTree& tree, Choices& choices) {
  const auto picked = pick(tree, choices);
  if (!picked) return DeadlineReached{};
  const auto [run, process] = *picked;
  const auto reason = static_cast<ExitReason>(choices.choose(6));
  switch (process.phase) {
    case WatchedTree::Phase::starting:
      if (choices.choose(4) == 1) return StartFailed{process.node, run, reason};
      return ChildReady{process.node, run};
    case WatchedTree::Phase::running:
    case WatchedTree::Phase::stopping: break;
  }
  return ChildExited{process.node, run, reason};
}

// Events of runs that are over or never existed, or at the wrong time.
Event random_nonsense(Choices& choices) {
  const NodeId node = choices.choose(20);
  const RunId run = choices.choose(20) + 1'000'000;
  switch (choices.choose(5)) {
    case 0: return ChildReady{node, run};
    case 1: return StartFailed{node, run};
    case 2: return Start{};
    case 3: return DeadlineReached{};
    default: return ChildExited{node, run, ExitReason::abnormal};
  }
}

// A supervisor, found by following random children.
NodeView random_supervisor(const WatchedTree& tree, Choices& choices, Instant now) {
  NodeView at = *tree.tree().node(kRoot, now);
  while (!at.children.empty() && choices.choose(3) != 0) {
    const NodeView next =
        *tree.tree().node(at.children[choices.choose(static_cast<std::uint32_t>(at.children.size()))], now);
    if (!supervises(next.spec->type)) break;
    at = next;
  }
  return at;
}

Event random_operation(const WatchedTree& tree, Choices& choices, Instant now, std::uint64_t token) {
  const NodeView supervisor = random_supervisor(tree, choices, now);
  const std::string id(1, static_cast<char>('a' + choices.choose(kMaxChildren + 2)));
  OperationRequested request{token, static_cast<Operation>(choices.choose(7)), supervisor.path, id, {}};
  if (request.operation == Operation::start_child) {
    request.spec = random_child(choices, id, supervisor.spec->flags.auto_shutdown, 2);
  }
  if (request.operation == Operation::start_children) {
    const char first = id[0];
    const std::uint32_t count = choices.choose(4);
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::string one(1, static_cast<char>(first + static_cast<char>(i)));
      request.spec.children.push_back(random_child(choices, one, supervisor.spec->flags.auto_shutdown, 2));
    }
  }
  return request;
}

// Whatever a reload may change in place. A significant child may not become permanent.
void change(ChildSpec& spec, Choices& choices, bool reorders) {
  if (choices.choose(2) == 1) {
    spec.restart = static_cast<Restart>(spec.significant ? 1 + choices.choose(2) : choices.choose(3));
  }
  if (choices.choose(3) == 1) spec.flags.strategy = static_cast<Strategy>(choices.choose(3));
  if (choices.choose(3) == 1) spec.flags.max_restarts = choices.choose(5);
  if (reorders && !spec.children.empty()) {
    std::rotate(spec.children.begin(), spec.children.begin() + 1, spec.children.end());
  }
  for (ChildSpec& child : spec.children) change(child, choices, reorders);
}

void update(WatchedTree& tree, Choices& choices, Instant now) {
  ChildSpec root = *tree.tree().node(kRoot, now)->spec;
  const bool reorders = choices.choose(4) == 1;
  change(root, choices, reorders);
  tree.update(root);
}

Event random_event(const WatchedTree& tree, Choices& choices, Instant now, std::uint64_t token) {
  const std::uint32_t what = choices.choose(32);
  if (what < 20) return random_news(tree, choices);
  if (what < 26) return random_operation(tree, choices, now, token);
  if (what < 28) return random_nonsense(choices);
  if (what == 28 && choices.choose(4) == 1) return StopRequested{};
  return DeadlineReached{};
}

}  // namespace

ChildSpec random_tree(Choices& choices) {
  ChildSpec root;
  root.id = "root";
  root.type = NodeType::supervisor;
  root.flags = random_flags(choices);
  random_children(choices, root, 0);
  return root;
}

void live(WatchedTree& tree, Choices& choices, int events) {
  Instant now = kBeginning;
  tree.step(Start{}, now);
  for (int i = 0; i < events && !choices.dried_up(); ++i) {
    if (choices.choose(3) == 1) now += std::chrono::milliseconds(choices.choose(200));
    tree.step(random_event(tree, choices, now, static_cast<std::uint64_t>(i) + 1), now);
    if (choices.choose(4) == 1) tree.step(DeadlineReached{}, now);
    if (choices.choose(8) == 1) update(tree, choices, now);
  }
  tree.settle(now);
}

}  // namespace bulkhead::supervision::testing
