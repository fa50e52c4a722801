#include "master/supervision/supervisor.h"

#include <algorithm>
#include <utility>

#include "master/supervision/cause_chain.h"
#include "master/supervision/path.h"
#include "master/supervision/tree_context.h"

namespace bulkhead::supervision {

Supervisor::Supervisor(TreeContext& tree, Node& self)
    : tree_(tree), self_(self), intensity_(self.spec->flags.max_restarts, self.spec->flags.max_seconds) {}

void Supervisor::start() {
  for (const ChildSpec& child : self_.spec->children) {
    add_child(std::shared_ptr<const ChildSpec>(self_.spec, &child));
  }
  Job job{.kind = Job::Kind::start};
  job.starts = children_;
  begin(std::move(job));
}

void Supervisor::spec_changed() {
  intensity_.limit(flags().max_restarts, flags().max_seconds);
  const std::vector<ChildSpec>& specs = self_.spec->children;
  const auto place = [&](NodeId id) { return std::ranges::find(specs, tree_.find(id)->spec->id, &ChildSpec::id); };
  std::ranges::stable_sort(children_, {}, place);
}

void Supervisor::receive(Message message) {
  mailbox_.push_back(std::move(message));
  if (!job_) tree_.schedule(self_.id);
}

void Supervisor::handle_next() {
  if (job_ || mailbox_.empty()) return;
  const Message message = std::move(mailbox_.front());
  mailbox_.pop_front();
  std::visit([this](const auto& known) { handle(known); }, message);
  if (!job_ && !mailbox_.empty()) tree_.schedule(self_.id);
}

// A child that has been stopped or started again since then has no exit pending, or has another run.
void Supervisor::handle(const ChildGone& message) {
  Node* child = tree_.find(message.child);
  if (child == nullptr || !child->exit_pending || child->run != message.run) return;
  child->exit_pending = false;
  if (!child->is_supervisor()) child->ending = ending_of(message.reason);
  restart_child(*child, message.reason);
}

void Supervisor::handle(const TryAgain& message) {
  Node* child = tree_.find(message.child);
  if (child != nullptr && child->state == NodeState::restarting) restart(*child);
}

void Supervisor::handle(const DelayOver& message) {
  Node* child = tree_.find(message.child);
  if (child != nullptr && child->state == NodeState::waiting) begin(group_restart(*child));
}

void Supervisor::handle(const Stop&) {
  self_.blame = {self_.path + " was asked to stop"};
  end(self_.id == kRoot ? Cause::request : Cause::parent);
}

void Supervisor::restart_child(Node& child, ExitReason reason) {
  switch (reason) {
    case ExitReason::retired: return begin(Job{.kind = Job::Kind::replace, .subject = child.id, .starts = {child.id}});
    case ExitReason::permanent_failure: return finished(child, NodeState::failed);
    case ExitReason::normal:
    case ExitReason::shutdown:
      return child.spec->restart == Restart::permanent ? restart(child) : finished(child, NodeState::stopped);
    case ExitReason::shortage:
    case ExitReason::abnormal: return child.is_temporary() ? finished(child, NodeState::stopped) : restart(child);
  }
}

// The entry is removed before the supervisor ends, as in OTP, so what is reported about the child is reported first.
void Supervisor::finished(Node& child, NodeState state) {
  tree_.set_state(child, state);
  const bool ends_us = triggers_auto_shutdown(child);
  if (ends_us) self_.blame = blame_auto_shutdown(self_, child);
  if (child.is_temporary()) remove_child(child.id);
  if (ends_us) end(Cause::auto_shutdown);
}

// OTP checks what is left in its list: children that run, restart, or are dead with the exit still in the mailbox.
bool Supervisor::triggers_auto_shutdown(const Node& child) const {
  const auto is_left = [&](NodeId id) {
    const Node& other = *tree_.find(id);
    return id != child.id && other.spec->significant && (other.has_process() || other.is_restarting());
  };
  if (!child.spec->significant || flags().auto_shutdown == AutoShutdown::never) return false;
  return flags().auto_shutdown == AutoShutdown::any_significant || std::ranges::none_of(children_, is_left);
}

void Supervisor::restart(Node& child) {
  if (!intensity_.count(tree_.now())) return give_up(child);
  const Duration delay = delay_of_next_try(child);
  tree_.set_state(child, NodeState::restarting);
  tree_.report(report::ChildRestarting{child.id, child.path, delay, intensity_.in_window(tree_.now())});
  Job job = group_restart(child);
  job.delay = delay;
  begin(std::move(job));
}

// Neither a limit nor a delay would ever end a row of starts that fail at once.
Duration Supervisor::delay_of_next_try(Node& child) {
  constexpr auto kBetweenTries = std::chrono::milliseconds(100);
  const bool is_retry = child.state == NodeState::restarting;
  const Duration delay = child.backoff.next(child.spec->restart_delay, child.ready_for, tree_.jitter());
  const bool is_endless = is_retry && delay == Duration::zero() && !flags().max_restarts;
  return is_endless ? kBetweenTries : delay;
}

void Supervisor::give_up(const Node& child) {
  const std::uint32_t limit = flags().max_restarts.value_or(0);  // without one, nobody gives up
  tree_.report(report::IntensityExceeded{self_.id, self_.path, child.path, limit, flags().max_seconds});
  self_.blame = blame_intensity(self_, child);
  end(Cause::intensity);
}

void Supervisor::end(Cause cause) {
  self_.ending = starved_ && cause == Cause::start_failed ? Ending::shortage : ending_of(cause);
  tree_.set_state(self_, NodeState::stopping);
  begin(Job{.kind = Job::Kind::end, .cause = cause, .stops = {children_.rbegin(), children_.rend()}});
}

void Supervisor::begin(Job job) {
  job_ = std::move(job);
  awaited_.clear();
  advance();
}

void Supervisor::advance() {
  while (job_ && awaited_.empty()) {
    if (job_->next_stop < job_->stops.size()) {
      stop_next();
    } else if (job_->delay > Duration::zero()) {
      tree_.wait(*tree_.find(job_->subject), job_->delay);
      finish();
    } else if (job_->next_start < job_->starts.size()) {
      const bool together = job_->kind == Job::Kind::start_children;
      do {
        start_next();  // a child that was up immediately may have been the last awaited one
      } while (together && job_ && job_->next_start < job_->starts.size());
    } else {
      finish();
    }
  }
}

void Supervisor::stop_next() {
  Node& child = *tree_.find(job_->stops[job_->next_stop++]);
  if (tree_.stop(child)) {
    awaited_.push_back(child.id);
  } else {
    settle(child);
  }
}

// Marked as awaited before it starts, because an empty supervisor is up immediately. A child that has failed for good,
// even while the others were being stopped, is not started with them.
void Supervisor::start_next() {
  Node& child = *tree_.find(job_->starts[job_->next_start++]);
  if (job_->kind == Job::Kind::restart && child.state == NodeState::failed) return;
  if (job_->kind == Job::Kind::restart) ++child.restarts;
  awaited_.push_back(child.id);
  tree_.start(child);
}

void Supervisor::answered(Node& child, Answer::Kind kind) {
  if (!job_ || std::erase(awaited_, child.id) == 0) return;
  if (kind == Answer::Kind::down) settle(child);
  if (kind == Answer::Kind::start_failed) child_not_started(child);
  advance();
}

// In the list, but without a process or a pending restart: the state after OTP's do_terminate and del_child.
void Supervisor::settle(Node& child) {
  if (child.state != NodeState::failed) tree_.forget_run(child);
  child.exit_pending = false;
  child.ending = Ending::stopped;
  const bool stays = job_->kind == Job::Kind::end || !child.is_temporary();
  if (!stays) remove_child(child.id);
}

// The child is `failed` from now on, so that no group restart starts it again.
void Supervisor::child_never_starts(Node& child) {
  child.exit_pending = true;
  receive(ChildGone{child.id, child.run, ExitReason::permanent_failure});
}

void Supervisor::child_not_started(Node& child) {
  if (job_->kind == Job::Kind::start_children) {
    job_->failed = true;
    if (std::ranges::find(job_->added, child.id) != job_->added.end()) remove_child(child.id);
    return;
  }
  const bool by_operator = job_->kind == Job::Kind::start_child || job_->kind == Job::Kind::restart_child;
  if (child.state == NodeState::failed && !by_operator) return child_never_starts(child);
  const Job job = *std::exchange(job_, std::nullopt);
  switch (job.kind) {
    case Job::Kind::start:
      self_.blame = blame_failed_start(self_, child);
      starved_ = child.ending == Ending::shortage;
      return end(Cause::start_failed);
    case Job::Kind::restart:
    case Job::Kind::replace:
      // From here on the failed child is the one that is being restarted, not the one that caused the restart.
      if (Node& first = *tree_.find(job.subject); first.is_restarting()) tree_.forget_run(first);
      if (child.ending == Ending::shortage) return postpone(child);
      // Returns to the mailbox before the next attempt, so that an operation or a stop can come in between.
      tree_.set_state(child, NodeState::restarting);
      return receive(TryAgain{child.id});
    case Job::Kind::start_child: remove_child(child.id); [[fallthrough]];
    case Job::Kind::restart_child: reply(job.token, ReplyError::start_failed); break;
    case Job::Kind::start_children:  // continues
    case Job::Kind::terminate_child:
    case Job::Kind::end: break;  // these start nothing
  }
  if (!mailbox_.empty()) tree_.schedule(self_.id);
}

// DelayOver follows, which counts nothing.
void Supervisor::postpone(Node& child) {
  constexpr std::uint32_t kDoublings = 6;  // 100 ms, 200 ms … 5 s
  constexpr Duration kFirst = std::chrono::milliseconds(100);
  constexpr Duration kLongest = std::chrono::seconds(5);
  const Duration delay = std::min(kLongest, kFirst * (1U << std::min(child.shortages++, kDoublings)));
  tree_.report(report::RestartPostponed{child.id, child.path, delay});
  tree_.wait(child, delay);
  if (!mailbox_.empty()) tree_.schedule(self_.id);
}

void Supervisor::finish() {
  const Job job = *std::exchange(job_, std::nullopt);
  switch (job.kind) {
    case Job::Kind::start: tree_.up(self_); break;
    case Job::Kind::restart:
    case Job::Kind::replace: break;
    case Job::Kind::terminate_child:
    case Job::Kind::restart_child:
    case Job::Kind::start_child: reply(job.token, ReplyError::none); break;
    case Job::Kind::start_children: reply(job.token, job.failed ? ReplyError::start_failed : ReplyError::none); break;
    case Job::Kind::end: return ended(job.cause);
  }
  if (!mailbox_.empty()) tree_.schedule(self_.id);
}

// Senders that still wait for an answer get noproc, because the supervisor no longer exists.
void Supervisor::ended(Cause cause) {
  tree_.report(report::SupervisorTerminated{self_.id, self_.path, cause});
  for (const Message& message : mailbox_) {
    if (const auto* request = std::get_if<OperationRequested>(&message)) reply(request->token, ReplyError::noproc);
  }
  for (const NodeId child : children_) tree_.remove(child);
  children_.clear();
  if (self_.id == kRoot) tree_.emit(TreeTerminated{cause, self_.blame, self_.ending == Ending::shortage});
  tree_.supervisor_gone(self_);
}

// The child itself is not stopped: it has already ended, or it waits for this restart.
Supervisor::Job Supervisor::group_restart(const Node& child) const {
  Job job{.kind = Job::Kind::restart, .subject = child.id};
  for (const NodeId id : restart_group(child)) {
    const Node& member = *tree_.find(id);
    if (id != child.id) job.stops.push_back(id);
    if (id == child.id || !member.is_temporary()) job.starts.push_back(id);
  }
  std::ranges::reverse(job.stops);
  return job;
}

std::vector<NodeId> Supervisor::restart_group(const Node& child) const {
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
  children_.push_back(child.id);
  return child;
}

void Supervisor::remove_child(NodeId id) {
  tree_.report(report::ChildRemoved{id, tree_.find(id)->path});
  std::erase(children_, id);
  tree_.remove(id);
}

Node* Supervisor::find_child(std::string_view id) const {
  for (const NodeId child : children_) {
    if (Node* node = tree_.find(child); node->spec->id == id) return node;
  }
  return nullptr;
}

}  // namespace bulkhead::supervision
