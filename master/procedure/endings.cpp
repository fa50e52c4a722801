#include "master/procedure/endings.h"

#include <algorithm>
#include <utility>

#include "master/supervision/path.h"

namespace bulkhead::procedure {

using supervision::is_at_or_below;
using supervision::ReplyError;
using supervision::touch;
using Phase = StopSequence::Phase;

Endings::Endings(loop::Loop& loop, running::Engine& engine, running::Listeners& listeners,
                 running::Workforce& workforce, journal::Narrator& narrator, Times times, Clock clock)
    : engine_(engine),
      listeners_(listeners),
      workforce_(workforce),
      narrator_(narrator),
      times_(std::move(times)),
      clock_(std::move(clock)),
      timer_(loop, [this] { tick(); }) {}

std::vector<net::Listener*> Endings::to_end(const std::string& path) const {
  std::vector<net::Listener*> out = listeners_.below(path);
  std::erase_if(out, [this](const net::Listener* listener) {
    return !listener->is_open() && !workforce_.has_connections(*listener);
  });
  return out;
}

bool Endings::touches(const std::string& path) const {
  return std::ranges::any_of(endings_, [&path](const auto& ending) { return touch(path, ending.first); });
}

bool Endings::ends(const std::string& path) const {
  return std::ranges::any_of(endings_, [&path](const auto& ending) { return is_at_or_below(path, ending.first); });
}

bool Endings::all() const {
  bool any = false;
  for (const net::Listener* listener : listeners_.all()) {
    const bool ends = net::has_begun(listener->end_phase());
    if (!ends && listener->is_open()) return false;
    any = any || ends;
  }
  return any;
}

void Endings::end(const std::string& path, supervision::Duration lame_duck, const Answered& answered, For why) {
  if (const auto found = endings_.find(path); found != endings_.end()) {
    found->second.askers.push_back({answered, why});
    if (lame_duck == supervision::Duration::zero()) found->second.sequence->end_lame_duck();
    return;
  }
  if (touches(path)) {
    waiting_.push_back({path, lame_duck, {answered, why}});
    return;
  }
  std::vector<net::Listener*> listeners = to_end(path);
  if (listeners.empty()) return terminate(path, why, answered);
  endings_[path].askers.push_back({answered, why});
  make_sequence(path, lame_duck, std::move(listeners));
  timer_.start(StopSequence::kTick, StopSequence::kTick);
  endings_.at(path).sequence->graceful();
}

void Endings::terminate(const std::string& path, For why, const Answered& answered) {
  using supervision::Operation;
  const Operation operation = why == For::good ? Operation::withdraw_child : Operation::terminate_child;
  engine_.operate(operation, path, answered, {}, running::Engine::Asker::everywhere);
}

void Endings::make_sequence(const std::string& path, supervision::Duration lame_duck,
                            std::vector<net::Listener*> listeners) {
  StopSequence::Times times = times_();
  times.lame_duck = lame_duck;
  const auto sequence = std::make_shared<StopSequence>(workforce_, times, clock_);
  endings_.at(path).sequence = sequence;
  const auto outcome = std::make_shared<ReplyError>(ReplyError::none);
  const std::weak_ptr<StopSequence> weak = sequence;
  sequence->set_world(
      {[listeners = std::move(listeners)] { return listeners; },
       [this, path, outcome, weak] {
         const auto& askers = endings_.at(path).askers;
         const bool leaves = std::ranges::all_of(askers, [](auto& one) { return one.why == For::good; });
         terminate(path, leaves ? For::good : For::now, [outcome, weak](ReplyError error) {
           *outcome = error;
           if (const auto still = weak.lock()) still->tree_gone();
         });
       },
       [] {}, [this, path, lame_duck](Phase phase) { narrator_.on_the_way_down(path, phase, lame_duck); },
       [this, path, outcome] { over(path, *outcome); }});
}

void Endings::tick() {
  std::vector<std::shared_ptr<StopSequence>> sequences;  // a finished sequence leaves the map while it is on the stack
  for (const auto& [path, ending] : endings_) sequences.push_back(ending.sequence);
  for (const auto& sequence : sequences) sequence->tick();
  const bool ticking = std::ranges::any_of(endings_, [](const auto& one) { return one.second.sequence->is_ticking(); });
  if (!ticking) timer_.stop();
}

void Endings::over(const std::string& path, ReplyError outcome) {
  for (net::Listener* listener : listeners_.below(path)) {
    listener->set_end_phase(Phase::idle);
    listener->gate().release(net::Gate::Holder::ending);
    listener->gate().release(net::Gate::Holder::operators);
  }
  const auto ended = endings_.extract(path);
  for (const Asker& asker : ended.mapped().askers) asker.answered(outcome);
  for (const Waiting& one : std::exchange(waiting_, {}))
    end(one.path, one.lame_duck, one.asker.answered, one.asker.why);
}

bool Endings::call_off(const std::string& path) {
  const auto found = endings_.find(path);
  if (found == endings_.end()) return false;
  const auto sequence = found->second.sequence;
  if (!sequence->call_off()) return false;
  narrator_.drain_called_off(path);
  over(path, ReplyError::restarting);
  return true;
}

bool Endings::can_take_back(const std::string& path) const {
  if (std::ranges::any_of(waiting_, [&path](const Waiting& one) { return one.path == path; })) return true;
  const auto found = endings_.find(path);
  return found != endings_.end() && found->second.sequence->phase() < Phase::stopping_tree;
}

void Endings::take_back(const std::string& path) {
  std::erase_if(waiting_, [&path](const Waiting& one) { return one.path == path && one.asker.why == For::good; });
  const auto found = endings_.find(path);
  if (found == endings_.end()) return;
  std::erase_if(found->second.askers, [](const Asker& asker) { return asker.why == For::good; });
  const auto sequence = found->second.sequence;
  if (!found->second.askers.empty() || !sequence->take_back()) return;
  narrator_.drain_called_off(path);
  over(path, ReplyError::restarting);
}

std::vector<EndingHandover> Endings::hand_over() const {
  std::vector<EndingHandover> out;
  for (const auto& [path, ending] : endings_) {
    const auto progress = ending.sequence->progress();
    out.push_back({path, progress.phase, progress.since, ending.sequence->lame_duck()});
  }
  return out;
}

void Endings::resume(const std::vector<EndingHandover>& from) {
  for (const EndingHandover& one : from) {
    endings_[one.path];
    make_sequence(one.path, one.lame_duck, listeners_.below(one.path));
    endings_.at(one.path).sequence->resume({one.phase, one.since});
    if (net::has_begun(one.phase) && one.phase < net::EndPhase::stopping_tree) narrator_.drain_continues(one.path);
  }
  if (!from.empty()) timer_.start(StopSequence::kTick, StopSequence::kTick);
}

void Endings::worker_ready(const process::WorkerProcess& worker) {
  for (auto& [path, ending] : endings_) ending.sequence->worker_ready(worker);
}

void Endings::worker_gone(net::Listener& listener) {
  for (auto& [path, ending] : endings_) ending.sequence->worker_gone(listener);
}

void Endings::forget(const net::Listener& listener) {
  for (auto& [path, ending] : endings_) ending.sequence->forget(listener);
}

// A permanent supervisor is started again, though perhaps after siblings that come before it.
bool Endings::is_started_again(const std::string& path) const {
  const auto view = engine_.view(path);
  return view && (!supervision::has_ended(view->state) || view->spec->restart == supervision::Restart::permanent);
}

void Endings::close_abandoned() {
  for (const std::string& top : std::exchange(gave_up_, {})) {
    if (is_started_again(top)) continue;
    for (net::Listener* listener : listeners_.below(top)) close(*listener);
  }
}

void Endings::close_stopped(const std::string& path) {
  for (net::Listener* listener : listeners_.below(path)) {
    const auto view = engine_.view(listener->path());
    if (!view || supervision::has_ended(view->state)) close(*listener);
  }
}

void Endings::close(net::Listener& listener) {
  if (!listener.is_open() || touches(listener.path())) return;
  listener.close();
  narrator_.abandoned(listener.path());
}

}  // namespace bulkhead::procedure
