#include "master/procedure/stop_sequence.h"

#include <algorithm>
#include <csignal>
#include <utility>

#include "worker/ipc/message.h"

namespace bulkhead::procedure {

namespace {

using namespace std::chrono_literals;

constexpr auto kHandshakes = 50ms;
constexpr auto kAnswer = 250ms;  // a worker that takes longer to answer is considered hung
constexpr auto kStart = 1s;      // a worker that takes longer to become ready is not waited for
constexpr int kMostTold = 10;    // lines about connections of a listener
constexpr auto kAfterKill = 2s;  // for processes that even SIGKILL does not end at once
// Workers that are let go: without a look at the queue, and killed.
constexpr auto kLetGoAtOnce = 500ms;
constexpr auto kLetGoKilled = 1s;

}  // namespace

StopSequence::StopSequence(running::Workforce& workforce, Times times, Clock clock)
    : workforce_(workforce), times_(times), clock_(std::move(clock)) {}

void StopSequence::enter(Phase phase) {
  phase_ = phase;
  since_ = clock_();
  show_phase();
  if (world_.on_phase) world_.on_phase(phase);
}

void StopSequence::show_phase() {
  for (net::Listener* listener : listeners_) listener->set_end_phase(phase_, phase_ends(*listener));
}

std::optional<supervision::Instant> StopSequence::phase_ends(const net::Listener& listener) const {
  if (phase_ == Phase::lame_duck) return since_ + times_.lame_duck;
  if (phase_ == Phase::draining && times_.drain_timeout) return since_ + *times_.drain_timeout;
  if (phase_ != Phase::terminating) return std::nullopt;
  const supervision::Duration limit = listener.config().connection_shutdown;
  return limit < config::kForever ? std::optional(since_ + times_.close_spread + limit) : std::nullopt;
}

void StopSequence::graceful() {
  if (phase_ == Phase::idle && times_.lame_duck > supervision::Duration::zero()) {
    begin();
    enter(Phase::lame_duck);
  } else {
    without_lame_duck();
  }
}

void StopSequence::without_lame_duck() {
  if (phase_ == Phase::idle) {
    begin_closing();
  } else {
    step_up();
  }
}

void StopSequence::fast() {
  if (phase_ < Phase::terminating) {
    begin_terminating();
  } else {
    step_up();
  }
}

void StopSequence::end_lame_duck() {
  if (phase_ == Phase::lame_duck) begin_closing();
}

bool StopSequence::call_off() {
  if (phase_ != Phase::lame_duck) return false;
  enter(Phase::idle);
  listeners_.clear();
  return true;
}

bool StopSequence::take_back() {
  if (phase_ < Phase::lame_duck || phase_ > Phase::terminating) return false;
  const bool closed = phase_ >= Phase::closing;
  enter(Phase::idle);
  for (net::Listener* listener : std::exchange(listeners_, {})) {
    if (closed) listener->welcome();
  }
  return true;
}

// Connections that were to be asked to end by now have been.
void StopSequence::resume(Progress from) {
  begin();
  phase_ = from.phase;
  since_ = from.since;
  show_phase();
  stops_tree_again_ = phase_ == Phase::stopping_tree;
  if (phase_ < Phase::terminating) return;
  for (net::Listener* listener : listeners_) listener->gate().hold(net::Gate::Holder::ending);
  to_kill_ = listeners_;
  if (in_phase() < times_.close_spread) next_slot_.assign(listeners_.size(), 0);
}

void StopSequence::forget(const net::Listener& gone) {
  const auto found = std::find(listeners_.begin(), listeners_.end(), &gone);
  if (found == listeners_.end()) return;
  if (!next_slot_.empty()) next_slot_.erase(next_slot_.begin() + (found - listeners_.begin()));
  listeners_.erase(found);
  std::erase(to_kill_, &gone);
}

void StopSequence::step_up() {
  if (leaves_ && !std::exchange(signalled_, true)) return;
  if (phase_ < Phase::terminating) {
    begin_terminating();
  } else if (phase_ == Phase::terminating) {
    kill_connections();
  } else {
    world_.kill_everything();
  }
}

void StopSequence::begin() {
  if (phase_ == Phase::idle) listeners_ = world_.listeners();
}

void StopSequence::begin_closing() {
  begin();
  enter(Phase::closing);
  for (net::Listener* listener : listeners_) {
    listener->tell_draining();
    listener->refuse_new_connections();
  }
}

void StopSequence::begin_draining() {
  enter(Phase::draining);
  for (net::Listener* listener : listeners_) {
    listener->gate().release(net::Gate::Holder::operators);  // the queue of a suspended listener is served too
    workforce_.send(*listener, ipc::Drain{});
  }
}

bool StopSequence::concerns(const net::Listener& listener) const {
  return std::find(listeners_.begin(), listeners_.end(), &listener) != listeners_.end();
}

void StopSequence::worker_ready(const process::WorkerProcess& worker) {
  if (leaves_ || !concerns(*worker.listener)) return;
  if (phase_ == Phase::draining) workforce_.send(*worker.listener, ipc::Drain{});
  if (phase_ >= Phase::terminating) workforce_.retire(worker.run);  // it still has the listening sockets
}

void StopSequence::worker_gone(net::Listener& listener) {
  if (leaves_ || !concerns(listener) || phase_ < Phase::terminating) return;
  const bool killed = std::find(to_kill_.begin(), to_kill_.end(), &listener) == to_kill_.end();
  workforce_.signal_adopted(listener, killed ? SIGKILL : listener.config().stop_signal);
}

bool StopSequence::no_connections() const {
  return std::all_of(listeners_.begin(), listeners_.end(),
                     [this](net::Listener* listener) { return !workforce_.has_connections(*listener); });
}

void StopSequence::tick() {
  switch (phase_) {
    case Phase::lame_duck:
      if (in_phase() >= times_.lame_duck) begin_closing();
      break;
    case Phase::closing:
      if (in_phase() >= kHandshakes) begin_draining();
      break;
    case Phase::draining: tick_draining(); break;
    case Phase::terminating: tick_terminating(); break;
    case Phase::leaving: tick_leaving(); break;
    case Phase::stopping_tree:
      if (std::exchange(stops_tree_again_, false)) world_.stop_tree();
      break;
    case Phase::idle:
    case Phase::done: break;
  }
}

void StopSequence::tick_draining() {
  bool closed = true;
  const bool patient = in_phase() < kStart;
  for (net::Listener* listener : listeners_) {
    if (listener->is_open() && workforce_.all_drained(*listener, patient)) listener->close();
    closed = closed && !listener->is_open() && !workforce_.any_in_hand(*listener);
  }
  if (closed && no_connections()) {
    begin_stopping_tree();
  } else if (times_.drain_timeout && in_phase() >= *times_.drain_timeout) {
    begin_terminating();
  }
}

void StopSequence::begin_terminating() {
  begin();
  enter(Phase::terminating);
  for (net::Listener* listener : listeners_) {
    listener->gate().hold(net::Gate::Holder::ending);  // a worker that is being started now must not accept either
    listener->close();
  }
  to_kill_ = listeners_;
  next_slot_.assign(listeners_.size(), 0);
  tick_spread();
}

void StopSequence::signal_share(net::Listener& listener, std::uint32_t& next, double share) {
  const auto end = static_cast<std::uint32_t>(std::min(listener.table().high_water(), listener.most_slots()) * share);
  for (; next < end; ++next) {
    const auto slot = listener.table().copy(next);
    if (slot) (void)workforce_.signal_connection(listener, next, slot->use, listener.config().stop_signal);
  }
}

// All connections at once, unless close_spread is set.
void StopSequence::tick_spread() {
  if (next_slot_.empty()) return;
  const auto passed = in_phase();
  if (passed < times_.close_spread) {
    const double share = std::chrono::duration<double>(passed) / times_.close_spread;
    for (std::size_t i = 0; i < listeners_.size(); ++i) signal_share(*listeners_[i], next_slot_[i], share);
    return;
  }
  next_slot_.clear();
  for (net::Listener* listener : listeners_) {
    workforce_.signal_connections(*listener, listener->config().stop_signal);
  }
}

void StopSequence::kill_connections() {
  for (net::Listener* listener : std::exchange(to_kill_, {})) workforce_.signal_connections(*listener, SIGKILL);
  killed_at_ = clock_();
}

void StopSequence::tick_terminating() {
  const auto now = clock_();
  tick_spread();
  for (net::Listener* listener : listeners_) workforce_.kill_unresponsive(*listener, kAnswer);
  std::erase_if(to_kill_, [this, now](net::Listener* listener) {
    if (now - since_ < times_.close_spread + listener->config().connection_shutdown) return false;
    workforce_.signal_connections(*listener, SIGKILL);
    return true;
  });
  if (to_kill_.empty() && !killed_at_) killed_at_ = now;
  const bool given_up = killed_at_ && now - *killed_at_ >= kAfterKill;
  if (given_up) std::ranges::for_each(listeners_, [](const net::Listener* listener) { tell_unkillable(*listener); });
  if (no_connections() || given_up) begin_stopping_tree();
}

void StopSequence::tell_unkillable(const net::Listener& listener) {
  const std::uint32_t end = std::min(listener.table().high_water(), listener.most_slots());
  int told = 0;
  for (std::uint32_t i = 0; i < end && told < kMostTold; ++i) {
    const auto slot = listener.table().copy(i);
    if (!slot || slot->state != ipc::SlotState::serving || slot->pid <= 1) continue;
    process::log_unkillable(listener.path(), slot->pid, kAfterKill);
    ++told;
  }
}

void StopSequence::leave(bool ports_stay) {
  if (phase_ != Phase::idle) return;
  begin();
  leaves_ = true;
  ports_stay_ = ports_stay;
  enter(Phase::leaving);
  if (ports_stay) return;
  for (net::Listener* listener : listeners_) listener->refuse_new_connections();
}

bool StopSequence::all_let_go() {
  const process::LetGo how = in_phase() >= kLetGoKilled   ? process::LetGo::killed
                             : in_phase() >= kLetGoAtOnce ? process::LetGo::at_once
                                                          : process::LetGo::asked;
  bool all = true;
  for (net::Listener* listener : listeners_) {
    const bool gone = workforce_.let_go(*listener, how);
    if (gone) close(*listener);
    all = all && gone;
  }
  return all;
}

// A worker may say that it has closed its sockets, and keep them: the next start needs the address.
void StopSequence::close(net::Listener& listener) const {
  if (leaves_ && !ports_stay_) {
    listener.close_for_all();
  } else {
    listener.close();
  }
}

void StopSequence::tick_leaving() {
  if (in_phase() < kHandshakes) return;
  if (all_let_go() || in_phase() >= kLetGoKilled + kAfterKill) begin_stopping_tree();
}

void StopSequence::begin_stopping_tree() {
  enter(Phase::stopping_tree);
  for (net::Listener* listener : listeners_) close(*listener);
  if (tree_gone_) return finish();
  world_.stop_tree();
}

void StopSequence::finish() {
  enter(Phase::done);
  world_.on_done();
}

void StopSequence::tree_gone() {
  tree_gone_ = true;
  if (phase_ == Phase::stopping_tree) {
    finish();
  } else if (phase_ < Phase::closing) {
    begin_closing();
  }
}

}  // namespace bulkhead::procedure
