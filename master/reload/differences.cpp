#include "master/reload/differences.h"

#include <algorithm>
#include <utility>

#include "master/config/find_node.h"
#include "master/supervision/path.h"

namespace bulkhead::reload {

namespace {

using How = Difference::How;
using supervision::child_of;
using supervision::NodeState;
using supervision::NodeView;

Presence presence_of(const NodeView& node, const running::Overrides& overrides) {
  const bool down = supervision::has_ended(node.state);
  if (down && overrides.is_interrupted(node.path)) return Presence::interrupted;
  return down || overrides.is_stopped(node.path) ? Presence::down : Presence::up;
}

Presence presence_at(const Look& look, const std::string& path) {
  if (is_dormant(look, path)) return Presence::dormant;
  if (const auto view = look.engine.view(path)) return presence_of(*view, look.catalogue.overrides());
  const auto supervisor = look.engine.view(supervision::parent_of(path));
  const bool runs = supervisor && (supervisor->state == NodeState::running || supervisor->state == NodeState::starting);
  return runs ? Presence::gone : Presence::out_of_reach;
}

bool is_manual(const config::Node* node) {
  return node != nullptr && node->process && node->process->start == config::StartBy::operators;
}

class Search {
 public:
  Search(const Look& look, const config::Config* next) : look_(look), next_(next) {}

  std::vector<Difference> run() {
    below(look_.catalogue.config().root, "root");
    look_.catalogue.for_each_top([this](const std::string& path, const config::Node&) {
      const bool added = path != "root" && look_.engine.has(path);
      if (added) found_.push_back({.how = How::added, .path = path});
    });
    return std::move(found_);
  }

 private:
  void below(const config::Node& supervisor, const std::string& at) {
    for (const config::Node& child : supervisor.children) look_at(child, child_of(at, child.spec.id));
  }

  void look_at(const config::Node& node, const std::string& path) {
    if (look_.catalogue.is_added(path)) return;  // an operator's, in the place of what the file has
    const Presence presence = presence_at(look_, path);
    if (presence == Presence::gone) return look_at_missing(node, path);
    if (presence == Presence::out_of_reach) return;
    const bool stopped = look_at_stopped(path);
    if (node.listener) look_at_listener(*node.listener, path);
    if (!stopped) below(node, path);
  }

  void look_at_missing(const config::Node& node, const std::string& path) {
    const running::Overrides& overrides = look_.catalogue.overrides();
    if (may_be_stopped(node, path) && !overrides.is_erased(path)) return;
    const bool by_itself = node.spec.restart == supervision::Restart::temporary && !overrides.is_erased(path);
    const bool stopped = overrides.is_stopped(path);
    if (by_itself && !stopped) return;
    found_.push_back({.how = stopped ? How::stopped : How::deleted, .path = path, .in_tree = false});
  }

  // One that only operators start.
  [[nodiscard]] bool may_be_stopped(const config::Node& node, const std::string& path) const {
    return is_manual(next_ == nullptr ? &node : config::find_node(next_->root, "root", path));
  }

  bool look_at_stopped(const std::string& path) {
    const bool stopped = look_.catalogue.overrides().is_stopped(path);
    const config::Node* const node = look_.catalogue.find(path);
    if (stopped && !(node != nullptr && may_be_stopped(*node, path)))
      found_.push_back({.how = How::stopped, .path = path});
    return stopped;
  }

  void look_at_listener(const config::Listener& listener, const std::string& path) {
    const net::Listener* const sockets = look_.listeners.at(path);
    if (sockets != nullptr && sockets->gate().is_held_by(net::Gate::Holder::operators)) {
      found_.push_back({.how = How::suspended, .path = path});
    }
    if (const auto workers = look_.catalogue.overrides().workers_of(path)) {
      found_.push_back({.how = How::scaled, .path = path, .workers = *workers, .file_workers = listener.workers});
    }
    const NodeView view = *look_.engine.view(path);
    for (const supervision::NodeId id : view.children) (void)look_at_stopped(look_.engine.view(id)->path);
  }

  const Look& look_;
  const config::Config* next_;
  std::vector<Difference> found_;
};

bool has_key(const Change& change, std::string_view key) {
  return std::ranges::find(change.keys, key) != change.keys.end();
}

// The plan starts the node at `path` anew, or ends it.
bool renews(const Change& change, const std::string& path) {
  const bool whole = change.kind == Change::Kind::added || change.kind == Change::Kind::removed ||
                     change.kind == Change::Kind::replaced;
  return whole && supervision::is_at_or_below(path, change.path);
}

bool ends(const Change& change, const Difference& one) {
  if (renews(change, one.path)) return true;
  return one.how == How::scaled && change.path == one.path && has_key(change, "workers");
}

void plan_scaled(ReloadPlan& plan, const std::string& path) {
  const auto own = std::ranges::find_if(
      plan.changes, [&path](const Change& change) { return change.path == path && !change.keys.empty(); });
  if (own == plan.changes.end()) {
    plan.changes.push_back({Change::Kind::in_place, path, {"workers"}});
  } else {
    own->keys.emplace_back("workers");
  }
}

// In the place of a node that the new file has at the same path, that one is started.
void plan_removal(ReloadPlan& plan, const std::string& path, bool in_file) {
  std::erase_if(plan.changes, [&path](const Change& change) { return supervision::is_at_or_below(change.path, path); });
  plan.changes.push_back({in_file ? Change::Kind::replaced : Change::Kind::removed, path, {}});
}

}  // namespace

std::vector<Difference> differences(const Look& look, const config::Config* next) {
  return Search(look, next).run();
}

bool is_dormant(const Look& look, const std::string& path) {
  const auto view = look.engine.view(path);
  return view && view->state == NodeState::stopped && view->spec->manual && !view->finished &&
         !look.catalogue.overrides().is_stopped(path);
}

Present present_of(const Look& look, bool reset) {
  return {[look](const std::string& path) { return presence_at(look, path); },
          [&overrides = look.catalogue.overrides(), reset](const std::string& path) {
            return overrides.is_erased(path) || (reset && overrides.is_stopped(path));
          }};
}

std::vector<Difference> left_by(const ReloadPlan& plan, std::vector<Difference> all) {
  std::erase_if(all, [&plan](const Difference& one) {
    return std::ranges::any_of(plan.changes, [&one](const Change& change) { return ends(change, one); });
  });
  return all;
}

void plan_reset(ReloadPlan& plan, const std::vector<Difference>& all,
                const std::function<bool(const std::string& path)>& names) {
  const auto add = [&plan](Change::Kind kind, const std::string& path) { plan.changes.push_back({kind, path, {}}); };
  for (const Difference& one : all) {
    switch (one.how) {
      case How::stopped: add(Change::Kind::started, one.path); break;
      case How::suspended: add(Change::Kind::resumed, one.path); break;
      case How::scaled: plan_scaled(plan, one.path); break;
      case How::added: plan_removal(plan, one.path, names(one.path)); break;
      case How::deleted: break;  // comes back anyway
    }
  }
}

}  // namespace bulkhead::reload
