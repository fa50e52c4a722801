#include "master/procedure/stop_sequence.h"

#include <algorithm>
#include <csignal>
#include <utility>

#include "worker/sys/enum_words.h"

namespace bulkhead::procedure {

namespace {

using namespace std::chrono_literals;

constexpr auto kHandshakes = 50ms;
constexpr auto kTick = 10ms;
constexpr auto kAnswer = 250ms;  // a worker that takes longer to answer hangs
constexpr auto kStart = 1s;      // a worker that takes longer to become ready is not waited for
constexpr auto kAfterKill = 2s;  // for processes that even SIGKILL does not end at once

}  // namespace

const char* phase_text(StopSequence::Phase phase) {
  using Phase = StopSequence::Phase;
  switch (phase) {
    case Phase::idle: return "running";
    case Phase::lame_duck:
    case Phase::closing:
    case Phase::draining: return "draining";
    case Phase::terminating:
    case Phase::stopping_tree:
    case Phase::done: break;
  }
  return "stopping";
}

std::string_view phase_name(StopSequence::Phase phase) {
  using Phase = StopSequence::Phase;
  static constexpr sys::EnumWords<Phase, sys::up_to(Phase::done)> kNames{
      "", "lame_duck", "closing", "draining", "terminating", "stopping_tree", ""};
  return kNames.text(phase);
}

StopSequence::StopSequence(loop::Loop& loop, process::Workers& workers, process::Adoption& adoption, Times times)
    : workers_(workers), adoption_(adoption), times_(times), timer_(loop, [this] { tick(); }) {}

void StopSequence::enter(Phase phase) {
  phase_ = phase;
  since_ = Clock::now();
  for (net::Listener* listener : listeners_) listener->phase = phase_name(phase);
  if (world_.on_phase) world_.on_phase(phase);
}

void StopSequence::graceful() {
  if (phase_ == Phase::idle && times_.lame_duck > supervision::Duration::zero()) {
    begin();
    enter(Phase::lame_duck);
    timer_.start(kTick, kTick);
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
  timer_.stop();
  enter(Phase::idle);
  listeners_.clear();
  return true;
}

void StopSequence::forget(const net::Listener& gone) {
  const auto found = std::find(listeners_.begin(), listeners_.end(), &gone);
  if (found == listeners_.end()) return;
  if (!next_slot_.empty()) next_slot_.erase(next_slot_.begin() + (found - listeners_.begin()));
  listeners_.erase(found);
  std::erase(to_kill_, &gone);
}

void StopSequence::step_up() {
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
    listener->draining = true;
    listener->tell_draining();
    listener->refuse_newcomers();
  }
  timer_.start(kTick, kTick);
}

void StopSequence::begin_draining() {
  enter(Phase::draining);
  for (net::Listener* listener : listeners_) {
    listener->suspended = false;  // what a suspended listener has queued is served too
    workers_.send(*listener, ipc::Drain{});
  }
}

void StopSequence::worker_ready(process::WorkerProcess& worker) {
  const bool concerned = std::find(listeners_.begin(), listeners_.end(), worker.listener) != listeners_.end();
  if (concerned && phase_ == Phase::draining) workers_.send(*worker.listener, ipc::Drain{});
  if (concerned && phase_ >= Phase::terminating) workers_.stop(worker.run);  // it has the listening sockets still
}

void StopSequence::worker_gone(net::Listener& listener) {
  const bool concerned = std::find(listeners_.begin(), listeners_.end(), &listener) != listeners_.end();
  if (!concerned || phase_ < Phase::terminating) return;
  const bool to_kill = std::find(to_kill_.begin(), to_kill_.end(), &listener) == to_kill_.end();
  adoption_.signal_all(listener, to_kill ? SIGKILL : SIGTERM);
}

bool StopSequence::no_connections() const {
  return std::all_of(listeners_.begin(), listeners_.end(),
                     [](net::Listener* listener) { return listener->table().counts().used == 0; });
}

void StopSequence::tick() {
  switch (phase_) {
    case Phase::lame_duck:
      if (Clock::now() - since_ >= times_.lame_duck) begin_closing();
      break;
    case Phase::closing:
      if (Clock::now() - since_ >= kHandshakes) begin_draining();
      break;
    case Phase::draining: tick_draining(); break;
    case Phase::terminating: tick_terminating(); break;
    case Phase::idle:
    case Phase::stopping_tree:
    case Phase::done: break;
  }
}

void StopSequence::tick_draining() {
  bool closed = true;
  const bool patient = Clock::now() - since_ < kStart;
  for (net::Listener* listener : listeners_) {
    if (listener->is_open() && workers_.all_drained(*listener, patient)) listener->close();
    closed = closed && !listener->is_open() && !workers_.any_in_hand(*listener);
  }
  if (closed && no_connections()) {
    begin_stopping_tree();
  } else if (times_.drain_timeout && Clock::now() - since_ >= *times_.drain_timeout) {
    begin_terminating();
  }
}

void StopSequence::signal_connections(net::Listener& listener, int signal) {
  workers_.send(listener, ipc::Signal{ipc::kAllSlots, 0, signal});
  adoption_.signal_all(listener, signal);
}

void StopSequence::begin_terminating() {
  begin();
  enter(Phase::terminating);
  for (net::Listener* listener : listeners_) {
    listener->draining = true;   // no worker of it is started again
    listener->suspended = true;  // nor must one accept that is being started now
    workers_.send(*listener, ipc::Suspend{});
    listener->close();
  }
  to_kill_ = listeners_;
  next_slot_.assign(listeners_.size(), 0);
  tick_spread();
  timer_.start(kTick, kTick);
}

void StopSequence::signal_share(net::Listener& listener, std::uint32_t& next, double share) {
  const auto end = static_cast<std::uint32_t>(listener.table().high_water() * share);
  for (; next < end; ++next) {
    const auto slot = listener.table().copy(next);
    if (!slot || slot->state != ipc::SlotState::serving) continue;
    workers_.send(listener, ipc::Signal{next, slot->use, SIGTERM});
    (void)adoption_.signal_one(listener, next, slot->use, SIGTERM);
  }
}

// The whole at once, unless it is to be spread.
void StopSequence::tick_spread() {
  if (next_slot_.empty()) return;
  const auto passed = Clock::now() - since_;
  if (passed < times_.close_spread) {
    const double share = std::chrono::duration<double>(passed) / times_.close_spread;
    for (std::size_t i = 0; i < listeners_.size(); ++i) signal_share(*listeners_[i], next_slot_[i], share);
    return;
  }
  next_slot_.clear();
  for (net::Listener* listener : listeners_) signal_connections(*listener, SIGTERM);
}

void StopSequence::kill_connections() {
  for (net::Listener* listener : std::exchange(to_kill_, {})) signal_connections(*listener, SIGKILL);
  killed_at_ = Clock::now();
}

void StopSequence::tick_terminating() {
  const auto now = Clock::now();
  tick_spread();
  for (net::Listener* listener : listeners_) workers_.kill_unresponsive(*listener, kAnswer);
  std::erase_if(to_kill_, [this, now](net::Listener* listener) {
    if (now - since_ < times_.close_spread + listener->config().connection_shutdown) return false;
    signal_connections(*listener, SIGKILL);
    return true;
  });
  if (to_kill_.empty() && !killed_at_) killed_at_ = now;
  const bool given_up = killed_at_ && now - *killed_at_ >= kAfterKill;
  if (no_connections() || given_up) begin_stopping_tree();
}

void StopSequence::begin_stopping_tree() {
  enter(Phase::stopping_tree);
  timer_.stop();
  for (net::Listener* listener : listeners_) listener->close();
  if (tree_gone_) {
    enter(Phase::done);
    world_.on_done();
    return;
  }
  world_.stop_tree();
}

void StopSequence::tree_gone() {
  tree_gone_ = true;
  if (phase_ == Phase::stopping_tree) {
    enter(Phase::done);
    world_.on_done();
  } else if (phase_ < Phase::terminating) {
    begin_terminating();
  }
}

}  // namespace bulkhead::procedure
