#include "master/supervision/tree.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "master/supervision/path.h"
#include "master/supervision/supervisor.h"
#include "master/supervision/tree_context.h"

namespace bulkhead::supervision {

struct Tree::Impl {
  Impl(ChildSpec spec, std::uint64_t seed, RootEnd root_end) : context(seed, root_end == RootEnd::asks) {
    spec.id = "root";
    context.add(0, std::make_shared<const ChildSpec>(std::move(spec)), "root");
  }

  [[nodiscard]] Node& root() const { return *context.find(kRoot); }
  [[nodiscard]] Node* leaf(NodeId id, RunId run) const;
  [[nodiscard]] Node* find(std::string_view path) const;
  [[nodiscard]] Node* child_of(const Node& parent, std::string_view id) const;

  void on(const Start& event);
  void on(const ChildReady& event);
  void on(const StartFailed& event);
  void on(const ChildExited& event);
  void on(const DeadlineReached& event);
  void on(const StopRequested& event);
  void on(const OperationRequested& event);
  void update(Node& node, std::shared_ptr<const ChildSpec> spec);
  void start_failed(Node& node, ExitReason reason);
  void exited(Node& node, ExitReason reason);

  TreeContext context;
  bool begun = false;  // it has been started, or never will be
};

namespace {

// The current run of a leaf while it runs; events of any other run are out of date.
bool is_alive(const Node& node) {
  return (node.state == NodeState::starting && !node.due) || node.state == NodeState::running ||
         node.state == NodeState::stopping;
}

std::string_view cut_first(std::string_view& path) {
  const std::string_view first = path.substr(0, path.find('/'));
  path.remove_prefix(std::min(path.size(), first.size() + 1));
  return first;
}

}  // namespace

Node* Tree::Impl::leaf(NodeId id, RunId run) const {
  Node* node = context.find(id);
  const bool known = node != nullptr && !node->is_supervisor() && node->run == run && is_alive(*node);
  return known ? node : nullptr;
}

Node* Tree::Impl::find(std::string_view path) const {
  if (cut_first(path) != "root") return nullptr;
  Node* node = &root();
  while (node != nullptr && !path.empty()) node = child_of(*node, cut_first(path));
  return node;
}

Node* Tree::Impl::child_of(const Node& parent, std::string_view id) const {
  if (!parent.supervisor) return nullptr;
  for (const NodeId child : parent.supervisor->children()) {
    if (Node* node = context.find(child); node->spec->id == id) return node;
  }
  return nullptr;
}

void Tree::Impl::on(const Start&) {
  if (std::exchange(begun, true)) return;
  if (std::string wrong = check_child_spec(*root().spec, AutoShutdown::never); !wrong.empty()) {
    context.emit(TreeTerminated{Cause::start_failed, {std::move(wrong)}});
  } else {
    context.start(root());
  }
}

void Tree::Impl::on(const ChildReady& event) {
  Node* node = leaf(event.node, event.run);
  if (node == nullptr || node->state != NodeState::starting) return;
  context.report(report::ChildReady{node->id, node->path, node->run});
  context.up(*node);
}

// ChildExited and StartFailed are each accepted instead of the other: the child has ended in both cases, and a
// supervisor that waited for the right one would wait for ever.
void Tree::Impl::on(const StartFailed& event) {
  Node* node = leaf(event.node, event.run);
  if (node == nullptr) return;
  node->how = event.how;
  if (node->state == NodeState::starting) return start_failed(*node, event.reason);
  exited(*node, event.reason);
}

void Tree::Impl::on(const ChildExited& event) {
  Node* node = leaf(event.node, event.run);
  if (node == nullptr) return;
  node->how = event.how;
  if (node->state == NodeState::starting) return start_failed(*node, event.reason);
  exited(*node, event.reason);
}

void Tree::Impl::start_failed(Node& node, ExitReason reason) {
  context.report(report::StartFailed{node.id, node.path, node.run});
  context.start_failed(node, reason);
}

// A start that was ended by a stop has failed, too.
void Tree::Impl::exited(Node& node, ExitReason reason) {
  const bool asked = node.state == NodeState::stopping;
  if (node.ready_at) {
    context.report(report::ChildExited{node.id, node.path, node.run, reason, asked});
  } else {
    context.report(report::StartFailed{node.id, node.path, node.run});
  }
  context.gone(node, reason);
}

void Tree::Impl::on(const DeadlineReached&) {
  context.act_on_deadlines();
}

void Tree::Impl::on(const StopRequested&) {
  if (!std::exchange(begun, true)) context.emit(TreeTerminated{Cause::request, {"root was asked to stop"}});
  if (root().supervisor && root().supervisor->proceed()) return;
  context.post(kRoot, Stop{});
}

void Tree::Impl::on(const OperationRequested& event) {
  const Node* node = find(event.supervisor);
  if (node != nullptr && node->supervisor) {
    context.post(node->id, event);
  } else {
    context.emit(Reply{event.token, ReplyError::noproc});
  }
}

namespace {

// `below` is "", which is the spec itself, or "/web/echo".
ChildSpec* entry_at(ChildSpec& spec, std::string_view below) {
  if (below.empty()) return &spec;
  const std::string_view id = below.substr(1, below.find('/', 1) - 1);
  const auto child = std::ranges::find(spec.children, id, &ChildSpec::id);
  return child == spec.children.end() ? nullptr : entry_at(*child, below.substr(1 + id.size()));
}

}  // namespace

Tree::Tree(ChildSpec root, std::uint64_t seed, RootEnd root_end)
    : impl_(std::make_unique<Impl>(std::move(root), seed, root_end)) {}
Tree::~Tree() = default;

std::vector<Command> Tree::step(const Event& event, Instant now) {
  impl_->context.set_now(now);
  std::visit([this](const auto& known) { impl_->on(known); }, event);
  impl_->context.run();
  return impl_->context.take_commands();
}

void Tree::Impl::update(Node& node, std::shared_ptr<const ChildSpec> spec) {
  node.spec = std::move(spec);
  if (!node.supervisor) return;
  node.supervisor->spec_changed();
  for (const ChildSpec& wanted : node.spec->children) {
    Node* child = child_of(node, wanted.id);
    if (child == nullptr || child->spec->type != wanted.type) continue;
    update(*child, std::shared_ptr<const ChildSpec>(node.spec, &wanted));
  }
}

void Tree::update(ChildSpec spec) {
  spec.id = "root";
  impl_->update(impl_->root(), std::make_shared<const ChildSpec>(std::move(spec)));
}

void Tree::update(std::string_view path, ChildSpec spec) {
  Node* const node = impl_->find(path);
  if (node == nullptr || node->spec->type != spec.type) return;
  impl_->update(*node, std::make_shared<const ChildSpec>(std::move(spec)));
}

// A supervisor starts its children from its own spec, so the specs of all supervisors above change with it. While one
// of those does not run, only theirs are there.
void Tree::set_children(std::string_view path, std::vector<ChildSpec> children) {
  std::optional<NodeType> type;
  for (std::string at(path); !at.empty(); at = parent_of(at)) {
    Node* const node = impl_->find(at);
    if (node == nullptr) continue;
    auto spec = std::make_shared<ChildSpec>(*node->spec);
    ChildSpec* const entry = entry_at(*spec, path.substr(at.size()));
    if (entry == nullptr || entry->type != type.value_or(entry->type)) return;
    type = entry->type;
    entry->children = children;
    node->spec = std::move(spec);
  }
}

TreeState Tree::state() const {
  return impl_->context.state();
}

std::string Tree::restore(const TreeState& state, const FindAdded& added) {
  impl_->begun = true;
  const std::shared_ptr<const ChildSpec> root = impl_->root().spec;
  return impl_->context.resume(state,
                               [&](const std::string& path, NodeType type,
                                   const std::shared_ptr<const ChildSpec>& parent) -> std::shared_ptr<const ChildSpec> {
                                 if (parent == nullptr) return root;
                                 const std::string id = id_of(path);
                                 for (const ChildSpec& child : parent->children) {
                                   if (child.id == id && child.type == type) return {parent, &child};
                                 }
                                 auto own = added(path, type);
                                 return own ? std::make_shared<const ChildSpec>(std::move(*own)) : nullptr;
                               });
}

std::optional<Instant> Tree::next_deadline() const {
  return impl_->context.next_deadline();
}

std::optional<NodeView> Tree::node(NodeId id, Instant now) const {
  const Node* node = impl_->context.find(id);
  if (node == nullptr) return std::nullopt;
  NodeView view;
  view.id = node->id;
  view.parent = node->parent;
  view.path = node->path;
  view.spec = node->spec.get();
  view.state = node->state;
  view.run = node->run;
  view.restarts = node->restarts;
  view.since = node->since;
  view.due = node->due;
  view.finished = node->state == NodeState::stopped && node->ending == Ending::normal && !node->exit_pending;
  if (node->supervisor) {
    view.restarts_in_window = node->supervisor->restarts_in_window(now);
    view.children = node->supervisor->children();
  }
  return view;
}

std::optional<NodeId> Tree::waits_for(NodeId id) const {
  const Node* node = impl_->context.find(id);
  const Node* parent = node == nullptr ? nullptr : impl_->context.find(node->parent);
  return parent == nullptr || !parent->supervisor ? std::nullopt : parent->supervisor->waits_for(*node);
}

bool Tree::restarts_group_of(std::string_view path) const {
  const Node* node = impl_->find(path);
  const Node* parent = node == nullptr ? nullptr : impl_->context.find(node->parent);
  return parent != nullptr && parent->supervisor && parent->supervisor->restarts_group_of(node->id);
}

std::optional<NodeId> Tree::find(std::string_view path) const {
  const Node* node = impl_->find(path);
  return node == nullptr ? std::nullopt : std::optional(node->id);
}

std::optional<NodeView> Tree::view(std::string_view path, Instant now) const {
  const auto id = find(path);
  return id ? node(*id, now) : std::nullopt;
}

}  // namespace bulkhead::supervision
