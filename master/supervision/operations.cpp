// The operations of an operator: OTP's terminate_child, restart_child, delete_child, start_child and which_children,
// with OTP's answers. Each is handled when its child is not occupied, so the states below are settled.
#include <algorithm>
#include <utility>

#include "master/supervision/supervisor.h"
#include "master/supervision/tree.h"
#include "master/supervision/tree_context.h"

namespace bulkhead::supervision {

void Supervisor::reply(std::uint64_t token, ReplyError error) {
  tree_.emit(Reply{token, error});
}

void Supervisor::handle(const OperationRequested& request) {
  if (request.operation == Operation::start_child) return start_child(request);
  if (request.operation == Operation::start_children) return start_children(request);
  if (request.operation == Operation::which_children) return which_children(request.token);
  Node* child = find_child(request.id);
  if (child == nullptr) return reply(request.token, ReplyError::not_found);
  switch (request.operation) {
    case Operation::terminate_child:
    case Operation::withdraw_child: return terminate_child(request.token, *child);
    case Operation::restart_child: return operator_restart(request.token, *child);
    case Operation::delete_child: return delete_child(request.token, *child);
    case Operation::restart_group: return operator_restart_group(request.token, *child);
    case Operation::start_child:
    case Operation::start_children:
    case Operation::which_children: break;
  }
}

Supervisor::Ids Supervisor::touched_by(const OperationRequested& request) const {
  Ids out;
  const auto touch = [&](std::string_view id) {
    if (const Node* child = find_child(id)) out.push_back(child->id);
  };
  switch (request.operation) {
    case Operation::terminate_child:
    case Operation::withdraw_child:
    case Operation::restart_child:
    case Operation::delete_child: touch(request.id); break;
    case Operation::restart_group:
      if (const Node* child = find_child(request.id)) out = restart_group(*child);
      break;
    case Operation::start_child: touch(request.spec.id); break;
    case Operation::start_children:
      for (const ChildSpec& spec : request.spec.children) touch(spec.id);
      break;
    case Operation::which_children: break;
  }
  return out;
}

// It is answered from what is known already: the child is being restarted.
bool Supervisor::asks_about_attempt(const Message& message) const {
  const auto* request = std::get_if<OperationRequested>(&message);
  if (request == nullptr || ends_starts(request->operation)) return false;
  return std::ranges::any_of(touched_by(*request), [this](NodeId id) { return is_restarting(*tree_.find(id)); });
}

// Also ends the attempts of a child that is restarting or waiting.
void Supervisor::terminate_child(std::uint64_t token, Node& child) {
  child.comes_back = false;
  begin(Job{.kind = Job::Kind::terminate_child, .subject = child.id, .token = token, .stops = {child.id}});
}

void Supervisor::operator_restart(std::uint64_t token, Node& child) {
  if (is_restarting(child)) return reply(token, ReplyError::restarting);
  if (child.has_process()) return reply(token, ReplyError::running);
  child.backoff.forget();
  begin(Job{.kind = Job::Kind::restart_child, .subject = child.id, .token = token, .starts = {child.id}});
}

// A delayed restart of a group has stopped its members, and would start them again, except manual ones that did not
// run.
bool Supervisor::is_to_come_back(const Node& child) const {
  return child.state == NodeState::stopped && !child.is_dormant() && std::ranges::any_of(children_, [&](NodeId id) {
           const Node& other = *tree_.find(id);
           return other.is_restarting() && std::ranges::count(restart_group(other), child.id) != 0;
         });
}

void Supervisor::operator_restart_group(std::uint64_t token, const Node& child) {
  Job job{.kind = Job::Kind::restart_group, .subject = child.id, .token = token};
  for (const NodeId id : restart_group(child)) {
    Node& member = *tree_.find(id);
    const bool runs = member.has_process() || member.is_restarting() || is_to_come_back(member);
    if (!runs && id != child.id) continue;
    member.backoff.forget();
    job.stops.push_back(id);
    job.starts.push_back(id);
  }
  std::ranges::reverse(job.stops);
  begin(std::move(job));
}

bool Supervisor::restarts_group_of(NodeId child) const {
  return std::ranges::any_of(
      jobs_, [child](const Job& job) { return job.kind == Job::Kind::restart_group && job.subject == child; });
}

void Supervisor::delete_child(std::uint64_t token, Node& child) {
  if (is_restarting(child)) return reply(token, ReplyError::restarting);
  if (child.has_process()) return reply(token, ReplyError::running);
  remove_child(child.id);
  reply(token, ReplyError::none);
}

void Supervisor::start_child(const OperationRequested& request) {
  const std::uint64_t token = request.token;
  if (!check_child_spec(request.spec, flags().auto_shutdown).empty()) return reply(token, ReplyError::invalid_spec);
  if (const Node* present = find_child(request.spec.id)) {
    const bool started = present->has_process() && !is_attempted(*present);
    return reply(token, started ? ReplyError::already_started : ReplyError::already_present);
  }
  const Node& child = add_child(std::make_shared<const ChildSpec>(request.spec));
  if (child.is_dormant()) return reply(token, ReplyError::none);
  begin(Job{.kind = Job::Kind::start_child, .subject = child.id, .token = token, .starts = {child.id}});
}

// Every child is checked before the first one is changed.
void Supervisor::start_children(const OperationRequested& request) {
  Job job{.kind = Job::Kind::start_children, .token = request.token};
  for (const ChildSpec& spec : request.spec.children) {
    if (!check_child_spec(spec, flags().auto_shutdown).empty()) return reply(request.token, ReplyError::invalid_spec);
    const Node* present = find_child(spec.id);
    if (present != nullptr && is_restarting(*present)) return reply(request.token, ReplyError::restarting);
    if (present != nullptr && present->has_process()) return reply(request.token, ReplyError::running);
  }
  for (const ChildSpec& spec : request.spec.children) {
    Node* child = find_child(spec.id);
    if (child == nullptr) {
      child = &add_child(std::make_shared<const ChildSpec>(spec));
      job.added.push_back(child->id);
    }
    child->backoff.forget();
    job.starts.push_back(child->id);
  }
  begin(std::move(job));
}

// OTP lists a child with its pid while its exit is still in the mailbox.
void Supervisor::which_children(std::uint64_t token) {
  Reply answer{token, ReplyError::none};
  for (const NodeId id : children_) {
    const Node& child = *tree_.find(id);
    const NodeState state = is_attempted(child) ? NodeState::restarting : child.state;
    answer.children.push_back({child.spec->id, child.spec->type, child.exit_pending ? NodeState::running : state});
  }
  tree_.emit(std::move(answer));
}

}  // namespace bulkhead::supervision
