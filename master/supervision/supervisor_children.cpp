// A supervisor's list of children: who is in it, and who restarts together.
#include <algorithm>
#include <utility>

#include "master/supervision/path.h"
#include "master/supervision/supervisor.h"
#include "master/supervision/tree_context.h"

namespace bulkhead::supervision {

// The child itself is not stopped: it has already ended, or it waits for this restart.
Supervisor::Job Supervisor::group_restart(const Node& child) const {
  Job job{.kind = Job::Kind::restart, .subject = child.id};
  for (const NodeId id : restart_group(child)) {
    Node& member = *tree_.find(id);
    member.comes_back = member.comes_back || !member.is_temporary();
    if (id != child.id) job.stops.push_back(id);
    job.starts.push_back(id);
  }
  std::ranges::reverse(job.stops);
  return job;
}

Supervisor::Ids Supervisor::restart_group(const Node& child) const {
  switch (flags().strategy) {
    case Strategy::one_for_one: break;
    case Strategy::one_for_all: return children_;
    case Strategy::rest_for_one: return {std::ranges::find(children_, child.id), children_.end()};
  }
  return {child.id};
}

Node& Supervisor::add_child(std::shared_ptr<const ChildSpec> spec) {
  std::string path = child_of(self_.path, spec->id);
  Node& child = tree_.add(self_.id, std::move(spec), std::move(path));
  child.dormant = true;
  children_.push_back(child.id);
  return child;
}

void Supervisor::remove_child(NodeId id) {
  tree_.report(report::ChildRemoved{id, tree_.find(id)->path});
  std::erase(children_, id);
  tree_.remove(id);
}

// In the list, but without a process or a pending restart: the state after OTP's do_terminate and del_child. OTP reads
// a changed child spec only between two restarts, so a child that has become temporary meanwhile is started once more.
void Supervisor::settle(Node& child) {
  if (child.state != NodeState::failed) tree_.forget_run(child);
  child.exit_pending = false;
  child.ending = Ending::stopped;
  const bool stays = is_ending() || !child.is_temporary() || child.comes_back;
  if (!stays) remove_child(child.id);
}

Node* Supervisor::find_child(std::string_view id) const {
  for (const NodeId child : children_) {
    if (Node* node = tree_.find(child); node->spec->id == id) return node;
  }
  return nullptr;
}

}  // namespace bulkhead::supervision
