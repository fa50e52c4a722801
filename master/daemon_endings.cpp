#include "master/daemon_endings.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "master/daemon.h"
#include "master/host/clock.h"
#include "master/supervision/path.h"
#include "worker/log/log.h"

namespace bulkhead {

namespace {

using procedure::StopSequence;
using supervision::ReplyError;
using Phase = StopSequence::Phase;

bool is_below(const std::string& path, const std::string& top) {
  return path == top || path.starts_with(top + "/");
}

}  // namespace

std::vector<net::Listener*> DaemonEndings::to_end(const std::string& path) const {
  std::vector<net::Listener*> out;
  for (const auto& [at, listener] : daemon_.listeners_) {
    const bool alive = listener->is_open() || listener->table().counts().used != 0;
    if (alive && is_below(at, path)) out.push_back(listener.get());
  }
  return out;
}

bool DaemonEndings::touches(const std::string& path) const {
  return std::any_of(endings_.begin(), endings_.end(), [&path](const auto& ending) {
    return is_below(path, ending.first) || is_below(ending.first, path);
  });
}

bool DaemonEndings::all() const {
  bool any = false;
  for (const auto& [path, listener] : daemon_.listeners_) {
    if (!listener->is_open() && listener->phase.empty()) continue;
    if (listener->phase.empty()) return false;
    any = true;
  }
  return any;
}

void DaemonEndings::end(const std::string& path, supervision::Duration lame_duck, const Then& then) {
  if (const auto found = endings_.find(path); found != endings_.end()) {
    found->second.askers.push_back(then);
    if (lame_duck == supervision::Duration::zero()) found->second.sequence->end_lame_duck();
    return;
  }
  if (touches(path)) {
    behind_.emplace_back([this, path, lame_duck, then] { end(path, lame_duck, then); });
    return;
  }
  std::vector<net::Listener*> listeners = to_end(path);
  if (listeners.empty()) return terminate(path, then);
  endings_[path].askers.push_back(then);
  begin(path, lame_duck, std::move(listeners));
}

void DaemonEndings::terminate(const std::string& path, const Then& then) {
  daemon_.control_.operate(supervision::Operation::terminate_child, supervision::parent_of(path),
                           supervision::id_of(path), then);
}

void DaemonEndings::begin(const std::string& path, supervision::Duration lame_duck,
                          std::vector<net::Listener*> listeners) {
  const auto sequence = std::make_shared<StopSequence>(
      daemon_.loop_, daemon_.workers_, daemon_.adoption_,
      StopSequence::Times{daemon_.config_->drain_timeout, lame_duck, daemon_.config_->close_spread});
  endings_.at(path).sequence = sequence;
  const auto outcome = std::make_shared<ReplyError>(ReplyError::none);
  const std::weak_ptr<StopSequence> weak = sequence;
  sequence->set_world({[listeners = std::move(listeners)] { return listeners; },
                       [this, path, outcome, weak] {
                         terminate(path, [outcome, weak](ReplyError error) {
                           *outcome = error;
                           if (const auto still = weak.lock()) still->tree_gone();
                         });
                       },
                       [] {}, [this, path](Phase phase) { on_phase(path, phase); },
                       [this, path, outcome] { over(path, *outcome); }});
  sequence->graceful();
}

void DaemonEndings::on_phase(const std::string& path, Phase phase) {
  Ending& ending = endings_.at(path);
  const bool drains = phase == Phase::lame_duck || phase == Phase::closing;
  if (drains && !std::exchange(ending.announced, true)) daemon_.events_.publish("drain_started", path);
  log::Line line(log::Level::info, path);
  switch (phase) {
    case Phase::lame_duck: line.text("draining: newcomers are served for a while yet").write(); break;
    case Phase::closing:
      line.text("draining: no new connections; those that there are go on until they end").write();
      break;
    case Phase::terminating: line.text("ending the connections").write(); break;
    case Phase::stopping_tree:
      if (ending.announced) daemon_.events_.publish("drain_done", path);
      break;
    default: break;
  }
}

void DaemonEndings::over(const std::string& path, ReplyError outcome) {
  for (const auto& [at, listener] : daemon_.listeners_) {
    if (!is_below(at, path)) continue;
    listener->draining = false;
    listener->suspended = false;
  }
  auto ended = endings_.extract(path);
  daemon_.later([kept = ended.mapped().sequence] {});  // it is still on the stack
  for (const Then& then : ended.mapped().askers) then(outcome);
  for (const auto& deed : std::exchange(behind_, {})) deed();
}

bool DaemonEndings::call_off(const std::string& path) {
  const auto found = endings_.find(path);
  if (found == endings_.end() || !found->second.sequence->call_off()) return false;
  daemon_.events_.publish("drain_done", path, {{"called_off", true}});
  log::Line(log::Level::info, path).text("goes on: the drain is called off").write();
  over(path, ReplyError::restarting);
  return true;
}

void DaemonEndings::worker_ready(process::WorkerProcess& worker) {
  for (auto& [path, ending] : endings_) {
    if (is_below(worker.listener->path(), path)) ending.sequence->worker_ready(worker);
  }
}

void DaemonEndings::worker_gone(net::Listener& listener) {
  for (auto& [path, ending] : endings_) ending.sequence->worker_gone(listener);
}

void DaemonEndings::forget(const net::Listener& listener) {
  for (auto& [path, ending] : endings_) ending.sequence->forget(listener);
}

void DaemonEndings::close_abandoned() {
  for (const std::string& top : std::exchange(gave_up_, {})) {
    const auto id = daemon_.tree_.find(top);
    const auto view = id ? daemon_.tree_.node(*id, now()) : std::nullopt;
    // A permanent one is started again, though perhaps after siblings that come before it.
    if (view &&
        (view->state != supervision::NodeState::stopped || view->spec->restart == supervision::Restart::permanent))
      continue;
    for (const auto& [path, listener] : daemon_.listeners_) {
      if (!is_below(path, top) || !listener->is_open() || touches(path)) continue;
      listener->close();
      log::Line(log::Level::warning, path)
          .text("is not started again: its port is closed, its connections go on")
          .write();
    }
  }
}

}  // namespace bulkhead
