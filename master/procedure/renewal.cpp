#include "master/procedure/renewal.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "master/config/share.h"
#include "master/procedure/countdown.h"
#include "master/procedure/workers_of.h"
#include "master/supervision/path.h"
#include "worker/ipc/limits.h"

namespace bulkhead::procedure {

using supervision::Operation;
using supervision::ReplyError;

namespace {

constexpr int kAttempts = 3;

}  // namespace

WorkerRenewal::WorkerRenewal(RenewalParts parts, std::string listener, Outdated outdated)
    : parts_(parts), listener_(std::move(listener)), outdated_(std::move(outdated)) {}

std::string WorkerRenewal::path_of(std::uint32_t worker) const {
  return supervision::child_of(listener_, std::to_string(worker));
}

WorkerRenewal::Numbers WorkerRenewal::outdated() const {
  Numbers out;
  parts_.workforce.for_each_worker([&](const process::WorkerProcess& worker) {
    const bool ours = supervision::parent_of(worker.path) == listener_;
    if (ours && outdated_(worker) && parts_.engine.has(worker.path)) out.push_back(worker.index);
  });
  return out;
}

void WorkerRenewal::start(const Numbers& workers, running::Engine::Answered answered) {
  std::vector<supervision::ChildSpec> together;
  for (const std::uint32_t worker : workers) together.push_back(spec_of_worker(parts_.engine, listener_, worker));
  parts_.engine.start_together(listener_, std::move(together), while_wanted_(std::move(answered)));
}

// The answers come in order, so the last one means that all workers are gone.
void WorkerRenewal::end(const Numbers& workers, bool stopped_only, const Done& done) {
  if (workers.empty()) return done({});
  const auto answered = while_wanted_([gone = countdown(workers.size(), [done] { done({}); })](ReplyError) { gone(); });
  for (const std::uint32_t worker : workers) {
    if (!stopped_only) parts_.engine.operate(Operation::terminate_child, path_of(worker), [](ReplyError) {});
    parts_.engine.operate(Operation::delete_child, path_of(worker), answered);
  }
}

void WorkerRenewal::start_extra(Done done) {
  const Numbers present = worker_numbers(parts_.engine, listener_);
  const net::Listener* const listener = parts_.listeners.at(listener_);
  if (present.empty() || listener == nullptr) return done({});  // stopped, or gone
  at_once_ = config::share_of(listener->config().max_unavailable, static_cast<std::uint32_t>(present.size()));
  Numbers extra;
  for (std::uint32_t number = present.back() + 1; number <= ipc::kMaxWorkers && extra.size() < at_once_; ++number) {
    extra.push_back(number);
  }
  if (extra.empty()) return done({});  // no room for one more: the existing ones must do
  start(extra, [this, extra, done](ReplyError error) {
    if (error == ReplyError::none) extra_ = extra;
    if (error != ReplyError::start_failed) return done({});
    const std::string which =
        extra.size() == 1 ? path_of(extra.front()) : fmt::format("{} to {}", path_of(extra.front()), extra.back());
    end(extra, false, [which, done](const Outcome&) {
      done(negative(ReplyError::start_failed, which + ": a new worker did not become ready"));
    });
  });
}

void WorkerRenewal::replace(Done done) {
  Numbers batch = outdated();
  if (batch.empty()) return done({});
  batch.resize(std::min(batch.size(), at_once_));
  for (const std::uint32_t worker : batch) {
    parts_.engine.operate(Operation::terminate_child, path_of(worker), [](ReplyError) {});
  }
  start_again(batch, kAttempts, done);
}

// The old workers have left. A new one that dies while it starts, for any reason, is tried again: otherwise one worker
// would be missing.
void WorkerRenewal::start_again(const Numbers& batch, int attempts_left, const Done& done) {
  start(batch, [this, batch, attempts_left, done](ReplyError error) {
    if (error == ReplyError::start_failed && attempts_left == 0) {
      return end(batch, true, [listener = listener_, done](const Outcome&) {
        done(negative(ReplyError::start_failed, listener + ": a replacement worker did not become ready"));
      });
    }
    if (error != ReplyError::none && error != ReplyError::start_failed) return done({});  // stopped, or gone
    parts_.later(while_wanted_([this, batch, error, attempts_left, done] {
      if (error == ReplyError::none) return replace(done);
      start_again(not_running(batch), attempts_left - 1, done);
    }));
  });
}

// A worker that has failed for good is not tried again: its listener is closing.
WorkerRenewal::Numbers WorkerRenewal::not_running(Numbers batch) const {
  std::erase_if(batch, [this](std::uint32_t worker) {
    const auto view = parts_.engine.view(path_of(worker));
    return view && view->state != supervision::NodeState::stopped;
  });
  return batch;
}

void WorkerRenewal::end_extra(Done done) {
  end(std::exchange(extra_, {}), false, done);
}

void UpgradeRenewal::begin(std::uint64_t incarnation, Done done) {
  incarnation_ = incarnation;
  done_ = std::move(done);
  parts_.workforce.for_each_worker([this, is_old = is_old()](const process::WorkerProcess& worker) {
    const std::string listener = supervision::parent_of(worker.path);
    const net::Listener* const at = parts_.listeners.at(listener);
    const bool ends = at != nullptr && at->is_ending();  // its workers have only connections left to look after
    const bool counts = !ends && is_old(worker);
    if (counts && std::ranges::find(listeners_, listener) == listeners_.end()) listeners_.push_back(listener);
  });
  next_listener();
}

WorkerRenewal::Outdated UpgradeRenewal::is_old() const {
  return
      [incarnation = incarnation_](const process::WorkerProcess& worker) { return worker.incarnation != incarnation; };
}

void UpgradeRenewal::abandon() {
  listeners_.clear();
  renewal_.reset();
  done_ = nullptr;
}

void UpgradeRenewal::next_listener() {
  if (listeners_.empty()) return finish({});
  renewal_ = std::make_unique<WorkerRenewal>(parts_, listeners_.front(), is_old());
  listeners_.pop_front();
  WorkerRenewal& renewal = *renewal_;
  renewal.start_extra([this, &renewal](const Outcome& started) {
    if (!started) return finish(started);
    renewal.replace([this, &renewal](const Outcome& replaced) {
      if (!replaced) return finish(replaced);
      renewal.end_extra([this](const Outcome&) { parts_.later([this] { next_listener(); }); });
    });
  });
}

void UpgradeRenewal::finish(const Outcome& outcome) {
  listeners_.clear();
  if (done_) std::exchange(done_, nullptr)(outcome);
}

}  // namespace bulkhead::procedure
