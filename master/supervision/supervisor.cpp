#include "master/supervision/supervisor.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "master/supervision/cause_chain.h"
#include "master/supervision/path.h"
#include "master/supervision/tree_context.h"

namespace bulkhead::supervision {

namespace {

bool contains(const std::vector<NodeId>& ids, NodeId id) {
  return std::ranges::find(ids, id) != ids.end();
}

}  // namespace

Supervisor::Supervisor(TreeContext& tree, Node& self)
    : tree_(tree), self_(self), intensity_(self.spec->flags.max_restarts, self.spec->flags.max_seconds) {}

void Supervisor::start() {
  for (const ChildSpec& child : self_.spec->children) {
    add_child(std::shared_ptr<const ChildSpec>(self_.spec, &child));
  }
  Job job{.kind = Job::Kind::start};
  std::ranges::copy_if(children_, std::back_inserter(job.starts),
                       [this](NodeId id) { return !tree_.find(id)->is_dormant(); });
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
  tree_.schedule(self_.id);
}

void Supervisor::handle_next() {
  const auto next = next_message();
  if (next == mailbox_.end()) return;
  const Message message = std::move(*next);
  mailbox_.erase(next);
  std::visit([this](const auto& known) { handle(known); }, message);
  if (!mailbox_.empty()) tree_.schedule(self_.id);
}

// The first message that touches nothing that is occupied, or touched by an earlier one. A Stop first: an earlier
// message that has waited until now, and that a new strategy lets go, must not end the supervisor for another reason.
std::deque<Message>::iterator Supervisor::next_message() {
  if (is_ending()) return mailbox_.end();
  const auto stop =
      std::ranges::find_if(mailbox_, [](const Message& one) { return std::holds_alternative<Stop>(one); });
  if (stop != mailbox_.end()) return stop;
  Ids claimed;
  for (auto message = mailbox_.begin(); message != mailbox_.end(); ++message) {
    const Ids touched = touched_by(*message);
    const auto is_claimed = [&](NodeId id) { return std::ranges::find(claimed, id) != claimed.end(); };
    const auto is_occupied = [&](NodeId id) { return occupant(id) != nullptr; };
    if (std::ranges::none_of(touched, is_claimed)) {
      make_way(*message);
      if (std::ranges::none_of(touched, is_occupied) || asks_about_attempt(*message)) return message;
    }
    claimed.insert(claimed.end(), touched.begin(), touched.end());
  }
  return mailbox_.end();
}

Supervisor::Ids Supervisor::touched_by(const Message& message) const {
  if (const auto* gone = std::get_if<ChildGone>(&message)) return touched_by(*gone);
  if (const auto* request = std::get_if<OperationRequested>(&message)) return touched_by(*request);
  const auto* again = std::get_if<TryAgain>(&message);
  const auto* over = std::get_if<DelayOver>(&message);
  if (again == nullptr && over == nullptr) return {};
  const Node* child = tree_.find(again != nullptr ? again->child : over->child);
  if (child == nullptr) return {};
  return again != nullptr ? touched_by_restart(*child) : restart_group(*child);
}

Supervisor::Ids Supervisor::touched_by(const ChildGone& message) const {
  if (news(message) == nullptr) return {};
  const Node& child = *tree_.find(message.child);
  if (calls_for_restart(child, message.reason)) return touched_by_restart(child);
  const bool during_start = occupied_by(Job::Kind::start);
  return during_start && triggers_auto_shutdown(child) ? children_ : Ids{child.id};
}

Supervisor::Ids Supervisor::touched_by_restart(const Node& child) const {
  Ids out = restart_group(child);
  if (!intensity_.is_used_up(tree_.now())) return out;
  std::ranges::copy_if(children_, std::back_inserter(out), [this](NodeId id) { return is_attempted(*tree_.find(id)); });
  return out;
}

bool Supervisor::awaits(NodeId child) const {
  return std::ranges::any_of(jobs_, [child](const Job& job) { return contains(job.awaited, child); });
}

bool Supervisor::occupied_by(Job::Kind kind) const {
  return std::ranges::any_of(jobs_, [kind](const Job& job) { return job.kind == kind; });
}

bool Supervisor::is_independent(const Job& job) const {
  return job.kind == Job::Kind::start_children ||
         (job.kind == Job::Kind::start && flags().strategy == Strategy::one_for_one);
}

bool Supervisor::occupies(const Job& job, NodeId child) const {
  if (job.kind == Job::Kind::end || contains(job.awaited, child)) return true;
  const auto first = is_independent(job) ? static_cast<std::ptrdiff_t>(job.next_start) : 0;
  if (std::find(job.starts.begin() + first, job.starts.end(), child) != job.starts.end()) return true;
  return !is_independent(job) && (job.subject == child || contains(job.stops, child));
}

const Supervisor::Job* Supervisor::occupant(NodeId child) const {
  const auto found = std::ranges::find_if(jobs_, [&](const Job& job) { return occupies(job, child); });
  return found == jobs_.end() ? nullptr : &*found;
}

// Its restart is under way; it has not failed yet.
bool Supervisor::is_attempted(const Node& child) const {
  if (child.state != NodeState::starting) return false;
  const Job* const job = occupant(child.id);
  return job != nullptr && (job->kind == Job::Kind::restart || job->kind == Job::Kind::replace);
}

bool Supervisor::is_stopped_by_operator(NodeId child) const {
  const Job* const job = occupant(child);
  return job != nullptr && job->kind == Job::Kind::terminate_child;
}

// Ends the start that is in its way, or takes the child off the list of those to be started.
void Supervisor::make_way(const Message& message) {
  const auto* request = std::get_if<OperationRequested>(&message);
  if (request == nullptr || !ends_starts(request->operation)) return;
  Node* const child = find_child(request->id);
  const auto job = child == nullptr
                       ? jobs_.end()
                       : std::ranges::find_if(jobs_, [&](const Job& one) { return occupies(one, child->id); });
  if (job == jobs_.end()) return;
  if (contains(job->awaited, child->id)) {
    if (!job->starting || child->state != NodeState::starting) return;
    child->called_off = true;
    child->withdrawn = request->operation == Operation::withdraw_child;
    if (!tree_.stop(*child)) tree_.start_failed(*child, ExitReason::abnormal);  // its start was delayed
  } else if (is_independent(*job)) {
    job->starts.erase(
        std::find(job->starts.begin() + static_cast<std::ptrdiff_t>(job->next_start), job->starts.end(), child->id));
  }
}

std::optional<NodeId> Supervisor::waits_for(const Node& child) const {
  const auto awaited_of = [](const Job* job) {
    return job == nullptr || job->awaited.empty() ? std::nullopt : std::optional(job->awaited.front());
  };
  const Job* const own = occupant(child.id);
  if (own != nullptr) return contains(own->awaited, child.id) ? std::nullopt : awaited_of(own);
  for (const Message& message : mailbox_) {
    const Ids touched = touched_by(message);
    if (!contains(touched, child.id)) continue;
    for (const NodeId id : touched) {
      if (const auto busy = awaited_of(occupant(id))) return busy;
    }
  }
  return std::nullopt;
}

// Nothing if it is old: a child that has been stopped or started again since then has no exit pending, or another run.
const ChildGone* Supervisor::news(const ChildGone& message) const {
  const Node* child = tree_.find(message.child);
  return child != nullptr && child->exit_pending && child->run == message.run ? &message : nullptr;
}

void Supervisor::handle(const ChildGone& message) {
  if (news(message) == nullptr) return;
  Node* child = tree_.find(message.child);
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

bool Supervisor::calls_for_restart(const Node& child, ExitReason reason) {
  switch (reason) {
    case ExitReason::retired:
    case ExitReason::permanent_failure: return false;
    case ExitReason::normal:
    case ExitReason::shutdown: return child.spec->restart == Restart::permanent;
    case ExitReason::shortage:
    case ExitReason::abnormal: return !child.is_temporary();
  }
  return false;
}

void Supervisor::restart_child(Node& child, ExitReason reason) {
  if (calls_for_restart(child, reason)) return restart(child);
  if (reason == ExitReason::retired) {
    return begin(Job{.kind = Job::Kind::replace, .subject = child.id, .starts = {child.id}});
  }
  finished(child, reason == ExitReason::permanent_failure ? NodeState::failed : NodeState::stopped);
}

// The entry is removed before the supervisor ends, as in OTP, so what is reported about the child is reported first.
void Supervisor::finished(Node& child, NodeState state) {
  tree_.set_state(child, state);
  child.dormant = true;
  const bool ends_us = triggers_auto_shutdown(child);
  if (ends_us) self_.blame = blame_auto_shutdown(self_, child);
  if (child.is_temporary()) remove_child(child.id);
  if (ends_us) end(Cause::auto_shutdown);
}

// OTP checks what is left in its list: children that run, restart, or are dead with the exit still in the mailbox. One
// that an operator is stopping is no longer left.
bool Supervisor::triggers_auto_shutdown(const Node& child) const {
  const auto is_left = [&](NodeId id) {
    const Node& other = *tree_.find(id);
    return id != child.id && other.spec->significant && !is_stopped_by_operator(id) &&
           (other.has_process() || other.is_restarting());
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

// Interrupts everything. A stop that an operator has asked for is under way anyway, and is answered when it is done.
void Supervisor::end(Cause cause) {
  self_.ending = starved_ && cause == Cause::start_failed ? Ending::shortage : ending_of(cause);
  tree_.set_state(self_, NodeState::stopping);
  std::erase_if(jobs_, [this](const Job& job) {
    if (job.kind == Job::Kind::terminate_child) return false;
    if (job.token != 0) interrupted_.push_back(job.token);
    return true;
  });
  const bool asks = self_.id == kRoot && cause != Cause::request && tree_.root_asks();
  begin(Job{.kind = Job::Kind::end, .cause = cause, .held = asks, .stops = {children_.rbegin(), children_.rend()}});
  if (!asks) return;
  answer_noproc();
  tree_.emit(TreeEnding{cause, self_.blame, self_.ending == Ending::shortage});
}

bool Supervisor::proceed() {
  const auto held = std::ranges::find_if(jobs_, &Job::held);
  if (held == jobs_.end()) return false;
  held->held = false;
  advance(*held);
  return true;
}

void Supervisor::begin(Job job) {
  jobs_.push_back(std::move(job));
  advance(jobs_.back());
}

void Supervisor::advance(Job& job) {
  while (job.awaited.empty() && !job.held) {
    if (job.next_stop < job.stops.size()) {
      stop_next(job);
    } else if (job.delay > Duration::zero()) {
      tree_.wait(*tree_.find(job.subject), job.delay);
      return finish(job);
    } else if (job.next_start < job.starts.size()) {
      do {
        start_next(job);
      } while (job.kind == Job::Kind::start_children && job.next_start < job.starts.size());
    } else {
      return finish(job);
    }
  }
}

void Supervisor::stop_next(Job& job) {
  Node* const child = tree_.find(job.stops[job.next_stop++]);
  job.starting = false;
  if (child == nullptr) return;
  if (tree_.stop(*child)) {
    job.awaited.push_back(child->id);
  } else {
    settle(*child);
  }
}

// A temporary child has left the list with its stop. Which one is temporary may have changed since the job began.
// Marked as awaited before it starts, because an empty supervisor is up immediately. A child that has failed for good,
// even while the others were being stopped, is not started with them, nor is a manual one that did not run.
void Supervisor::start_next(Job& job) {
  Node* const child = tree_.find(job.starts[job.next_start++]);
  if (child == nullptr) return;
  child->comes_back = false;
  const bool stays = child->state == NodeState::failed || child->is_dormant();
  if (job.kind == Job::Kind::restart && stays) return;
  if (job.kind == Job::Kind::restart) ++child->restarts;
  job.starting = true;
  job.awaited.push_back(child->id);
  if (job.kind == Job::Kind::start && child->spec->start_delay > Duration::zero()) {
    tree_.start_later(*child, child->spec->start_delay);
  } else {
    tree_.start(*child);
  }
}

// Our end and an operator's stop may wait for the same child.
void Supervisor::answered(NodeId child, Answer::Kind kind) {
  std::vector<Job*> waiting;
  for (Job& job : jobs_) {
    if (contains(job.awaited, child) && (kind != Answer::Kind::up || job.starting)) waiting.push_back(&job);
  }
  for (Job* const job : waiting) {
    const bool exists = std::ranges::any_of(jobs_, [job](const Job& one) { return &one == job; });
    if (exists) take_answer(*job, child, kind);
  }
}

// Messages may have waited for this child, although the job continues with others.
void Supervisor::take_answer(Job& job, NodeId id, Answer::Kind kind) {
  std::erase(job.awaited, id);
  if (!mailbox_.empty()) tree_.schedule(self_.id);
  if (kind != Answer::Kind::up) {
    Node& child = *tree_.find(id);
    if (job.starting) return child_not_started(job, child);
    settle(child);
  }
  advance(job);
}

// The child is `failed` from now on, so that no group restart starts it again.
void Supervisor::child_never_starts(Node& child) {
  child.exit_pending = true;
  receive(ChildGone{child.id, child.run, ExitReason::permanent_failure});
}

void Supervisor::child_not_started(Job& job, Node& child) {
  using Kind = Job::Kind;
  const bool by_operator = job.kind == Kind::start_child || job.kind == Kind::restart_child;
  if (job.kind == Kind::start_children) {
    job.failed = true;
    if (contains(job.added, child.id)) remove_child(child.id);
    return advance(job);
  }
  if (child.state == NodeState::failed && !by_operator) {
    job.failed = true;
    child_never_starts(child);
    return advance(job);
  }
  if (job.kind == Kind::start && child.called_off) return advance(job);
  if (child.withdrawn && (job.kind == Kind::restart || job.kind == Kind::restart_group))
    return leave_out(job, child.id);
  const Job done = take(job);
  switch (done.kind) {
    case Kind::start:
      self_.blame = blame_failed_start(self_, child);
      starved_ = child.ending == Ending::shortage;
      return end(Cause::start_failed);
    case Kind::restart:
    case Kind::replace: return restart_failed(done, child);
    case Kind::restart_group: restart_failed(done, child); return reply(done.token, ReplyError::start_failed);
    case Kind::start_child: remove_child(child.id); [[fallthrough]];
    case Kind::restart_child: return reply(done.token, ReplyError::start_failed);
    case Kind::start_children:  // continues
    case Kind::terminate_child:
    case Kind::end: break;  // these start nothing
  }
}

// The rest of its group is started without it. Who withdraws it need not wait for that.
void Supervisor::leave_out(Job& job, NodeId child) {
  job.failed = true;
  if (job.kind == Job::Kind::restart) {
    job.starts.erase(job.starts.begin() + static_cast<std::ptrdiff_t>(--job.next_start));
    job.next_stop -= std::erase(job.stops, child);  // all stops are behind it
    if (job.subject == child) job.subject = 0;
  }
  advance(job);
}

// From here on the failed child is the one that is being restarted, not the one that caused the restart. Returns to the
// mailbox before the next attempt, so that an operation or a stop can come in between.
void Supervisor::restart_failed(const Job& job, Node& child) {
  if (Node* const first = tree_.find(job.subject); first != nullptr && first->is_restarting()) tree_.forget_run(*first);
  if (child.ending == Ending::shortage) return postpone(child);
  tree_.set_state(child, NodeState::restarting);
  receive(TryAgain{child.id});
}

// DelayOver follows, which counts nothing.
void Supervisor::postpone(Node& child) {
  constexpr std::uint32_t kDoublings = 6;  // 100 ms, 200 ms … 5 s
  constexpr Duration kFirst = std::chrono::milliseconds(100);
  constexpr Duration kLongest = std::chrono::seconds(5);
  const Duration delay = std::min(kLongest, kFirst * (1U << std::min(child.shortages++, kDoublings)));
  tree_.report(report::RestartPostponed{child.id, child.path, delay});
  tree_.wait(child, delay);
}

// Whatever waited for it can be handled next.
Supervisor::Job Supervisor::take(const Job& job) {
  const auto place = std::ranges::find_if(jobs_, [&job](const Job& one) { return &one == &job; });
  Job out = std::move(*place);
  jobs_.erase(place);
  if (!mailbox_.empty()) tree_.schedule(self_.id);
  return out;
}

void Supervisor::finish(Job& done) {
  const Job job = take(done);
  switch (job.kind) {
    case Job::Kind::start: tree_.up(self_); break;
    case Job::Kind::restart:
    case Job::Kind::replace: break;
    case Job::Kind::terminate_child:
      if (Node* child = tree_.find(job.subject)) child->dormant = true;
      [[fallthrough]];
    case Job::Kind::restart_child:
    case Job::Kind::start_child: reply(job.token, ReplyError::none); break;
    case Job::Kind::restart_group:
      if (tree_.find(job.subject) == nullptr) return reply(job.token, ReplyError::not_found);  // it was temporary
      [[fallthrough]];
    case Job::Kind::start_children: reply(job.token, job.failed ? ReplyError::start_failed : ReplyError::none); break;
    case Job::Kind::end: return ended(job.cause);
  }
}

// For senders that still wait for an answer: to them the supervisor no longer exists.
void Supervisor::answer_noproc() {
  for (const std::uint64_t token : std::exchange(interrupted_, {})) reply(token, ReplyError::noproc);
  for (const Message& message : std::exchange(mailbox_, {})) {
    if (const auto* request = std::get_if<OperationRequested>(&message)) reply(request->token, ReplyError::noproc);
  }
}

void Supervisor::ended(Cause cause) {
  tree_.report(report::SupervisorTerminated{self_.id, self_.path, cause});
  answer_noproc();
  for (const NodeId child : children_) tree_.remove(child);
  children_.clear();
  if (self_.id == kRoot) tree_.emit(TreeTerminated{cause, self_.blame, self_.ending == Ending::shortage});
  tree_.supervisor_gone(self_);
}

}  // namespace bulkhead::supervision
