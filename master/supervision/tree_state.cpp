// Converts a tree to values and back. Restoring checks everything, because the values come from another program.
#include "master/supervision/tree_state.h"

#include <algorithm>
#include <set>
#include <utility>

#include "master/supervision/path.h"
#include "master/supervision/supervisor.h"
#include "master/supervision/tree_context.h"
#include "worker/sys/overloaded.h"

namespace bulkhead::supervision {

namespace {

MessageRecord record_of(const Message& message) {
  MessageRecord out;
  out.kind = static_cast<std::uint32_t>(message.index());
  std::visit(sys::Overloaded{[&out](const ChildGone& gone) {
                               out.child = gone.child;
                               out.run = gone.run;
                               out.reason = gone.reason;
                             },
                             [&out](const TryAgain& again) { out.child = again.child; },
                             [&out](const DelayOver& over) { out.child = over.child; }, [](const Stop&) {},
                             [](const OperationRequested&) {}},
             message);
  return out;
}

std::optional<Message> message_of(const MessageRecord& record) {
  switch (record.kind) {
    case 0: return ChildGone{record.child, record.run, record.reason};
    case 1: return TryAgain{record.child};
    case 2: return DelayOver{record.child};
    case 3: return Stop{};
    default: return std::nullopt;
  }
}

}  // namespace

SupervisorRecord Supervisor::record() const {
  SupervisorRecord out;
  out.restarts = intensity_.counted();
  out.children = children_;
  for (const Message& message : mailbox_) {
    if (!std::holds_alternative<OperationRequested>(message)) out.mailbox.push_back(record_of(message));
  }
  for (const Job& job : jobs_) {
    out.jobs.push_back({static_cast<std::uint32_t>(job.kind), job.subject, job.delay, job.cause, job.stops, job.starts,
                        job.next_stop, job.next_start, job.awaited, job.starting});
  }
  return out;
}

bool Supervisor::resume(const SupervisorRecord& record) {
  children_ = record.children;
  for (const Instant restart : record.restarts) {
    if (!intensity_.count(restart)) break;  // the new limits are lower
  }
  for (const MessageRecord& one : record.mailbox) {
    auto message = message_of(one);
    if (!message) return false;
    mailbox_.push_back(std::move(*message));
  }
  return std::ranges::all_of(record.jobs, [this](const JobRecord& job) { return resume(job); }) &&
         (mailbox_.empty() || !jobs_.empty());
}

// A job of an operation is finished like any other; its answer is not needed, because its operator is gone.
bool Supervisor::resume(const JobRecord& job) {
  const auto known = [this](NodeId id) { return std::ranges::find(children_, id) != children_.end(); };
  const bool makes_sense = job.kind <= static_cast<std::uint32_t>(Job::Kind::restart_group) &&
                           job.next_stop <= job.stops.size() && job.next_start <= job.starts.size() &&
                           std::ranges::all_of(job.stops, known) && std::ranges::all_of(job.starts, known) &&
                           !job.awaited.empty() && std::ranges::all_of(job.awaited, known);
  if (!makes_sense || (job.subject != 0 && !known(job.subject))) return false;
  jobs_.push_back(Job{.kind = static_cast<Job::Kind>(job.kind),
                      .subject = job.subject,
                      .delay = job.delay,
                      .cause = job.cause,
                      .stops = job.stops,
                      .starts = job.starts,
                      .next_stop = static_cast<std::size_t>(job.next_stop),
                      .next_start = static_cast<std::size_t>(job.next_start),
                      .awaited = job.awaited,
                      .starting = job.starting});
  return true;
}

TreeState TreeContext::state() const {
  TreeState out;
  out.last_id = last_id_;
  out.last_run = last_run_;
  out.jitter = jitter_.state();
  std::vector<const Node*> order;
  order.reserve(nodes_.size());
  for (const auto& [id, node] : nodes_) order.push_back(node.get());
  std::ranges::sort(order, {}, [](const Node* node) { return node->id; });  // parents existed before their children
  for (const Node* node : order) {
    out.nodes.push_back({node->id, node->parent, node->parent == 0 ? "root" : node->spec->id, node->spec->type,
                         node->state, node->since, node->run, node->restarts, node->exit_pending, node->dormant,
                         node->ready_at, node->ready_for, node->due, node->deadline, node->backoff.restarts(),
                         static_cast<std::uint32_t>(node->ending), node->how, node->blame,
                         node->supervisor ? std::optional(node->supervisor->record()) : std::nullopt});
  }
  return out;
}

std::string TreeContext::resume_node(const NodeRecord& record, const FindSpec& find_spec) {
  const Node* parent = find(record.parent);
  if (record.id == 0 || record.id > last_id_ || find(record.id) != nullptr) return "a node's number is wrong";
  if (record.run > last_run_) return "a node's run is wrong";
  if ((record.id == kRoot) != (record.parent == 0) || (record.parent != 0 && parent == nullptr)) {
    return "a node has no parent";
  }
  const std::string path = parent == nullptr ? "root" : child_of(parent->path, record.name);
  auto spec = find_spec(path, record.type, parent == nullptr ? nullptr : parent->spec);
  if (!spec || spec->type != record.type) return "no child spec for " + path;
  if (record.ending > static_cast<std::uint32_t>(Ending::shortage)) return path + " ended in an unknown way";
  auto made = std::make_unique<Node>(record.id, record.parent, std::move(spec), path);
  Node& node = *made;
  nodes_.emplace(record.id, std::move(made));
  node.state = record.state;
  node.since = record.since;
  node.run = record.run;
  node.restarts = record.restarts;
  node.exit_pending = record.exit_pending;
  node.dormant = record.dormant;
  node.ready_at = record.ready_at;
  node.ready_for = record.ready_for;
  node.due = record.due;
  node.deadline = record.deadline;
  if (node.deadline) deadlines_.emplace(*node.deadline, node.id);
  node.backoff.resume(record.backoff);
  node.ending = static_cast<Ending>(record.ending);
  node.how = record.how;
  node.blame = record.blame;
  if (!record.supervisor) return "";
  if (!node.is_supervisor()) return path + " cannot have children";
  node.supervisor = std::make_unique<Supervisor>(*this, node);
  return node.supervisor->resume(*record.supervisor) ? "" : path + " has an unknown job";
}

std::string TreeContext::resume(const TreeState& state, const FindSpec& find_spec) {
  nodes_.clear();
  deadlines_.clear();
  last_id_ = state.last_id;
  last_run_ = state.last_run;
  jitter_ = Jitter(state.jitter);
  for (const NodeRecord& record : state.nodes) {
    if (std::string problem = resume_node(record, find_spec); !problem.empty()) return problem;
  }
  if (find(kRoot) == nullptr) return "the root is missing";
  std::size_t listed = 1;
  for (const auto& [id, node] : nodes_) {
    if (!node->supervisor) continue;
    std::set<std::string> names;
    for (const NodeId child : node->supervisor->children()) {
      const Node* there = find(child);
      if (there == nullptr || there->parent != id || !names.insert(there->spec->id).second) {
        return node->path + " has a wrong list of children";
      }
      ++listed;
    }
  }
  return listed == nodes_.size() ? "" : "a node is in no list of children";
}

}  // namespace bulkhead::supervision
