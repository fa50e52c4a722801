#include "master/daemon_renewal.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "master/config/tree_of_config.h"
#include "master/daemon.h"
#include "master/host/clock.h"
#include "master/supervision/path.h"

namespace bulkhead {

using supervision::ChildSpec;
using supervision::Operation;
using supervision::ReplyError;

namespace {

constexpr int kAttempts = 3;

}  // namespace

WorkerRenewal::WorkerRenewal(Daemon& daemon, std::string listener, Outdated outdated)
    : daemon_(daemon),
      listener_(std::move(listener)),
      outdated_(std::move(outdated)),
      alive_(std::make_shared<bool>(true)) {}

std::vector<std::string> WorkerRenewal::outdated() const {
  std::vector<std::string> out;
  daemon_.workers_.for_each([&](const process::WorkerProcess& worker) {
    if (supervision::parent_of(worker.path) != listener_ || !outdated_(worker)) return;
    if (daemon_.tree_.find(worker.path)) out.push_back(supervision::id_of(worker.path));
  });
  return out;
}

std::vector<unsigned long> WorkerRenewal::numbers() const {
  std::vector<unsigned long> out;
  const auto id = daemon_.tree_.find(listener_);
  const auto view = id ? daemon_.tree_.node(*id, now()) : std::nullopt;
  if (!view) return out;
  for (const supervision::NodeId child : view->children) {
    out.push_back(std::stoul(daemon_.tree_.node(child, now())->spec->id));
  }
  std::ranges::sort(out);
  return out;
}

void WorkerRenewal::start(const std::vector<std::string>& ids, std::function<void(ReplyError)> then) {
  ChildSpec together;
  const config::Node* const node = daemon_.node_at(listener_);
  for (const std::string& id : ids) {
    together.children.push_back(
        config::worker_spec(static_cast<std::uint32_t>(std::stoul(id)),
                            node == nullptr ? supervision::RestartDelay{} : node->spec.restart_delay));
  }
  const auto answered = [alive = std::weak_ptr(alive_), then = std::move(then)](ReplyError error) {
    if (!alive.expired()) then(error);
  };
  daemon_.control_.operate(Operation::start_children, listener_, "", answered, std::move(together));
}

// Each is asked behind the one before, so that the last answer is the last of all.
void WorkerRenewal::end(const std::vector<std::string>& ids, bool stopped_only, Done done) {
  const auto left = std::make_shared<std::size_t>(ids.size());
  const auto answered = [alive = std::weak_ptr(alive_), left, done](ReplyError) {
    if (--*left == 0 && !alive.expired()) done("");
  };
  if (ids.empty()) return done("");
  for (const std::string& id : ids) {
    if (!stopped_only) daemon_.control_.operate(Operation::terminate_child, listener_, id, [](ReplyError) {});
    daemon_.control_.operate(Operation::delete_child, listener_, id, answered);
  }
}

void WorkerRenewal::start_extra(Done done) {
  const std::vector<unsigned long> there = numbers();
  const net::Listener* const listener = daemon_.listener_at(listener_);
  if (there.empty() || listener == nullptr) return done("");  // stopped, or gone
  at_once_ = config::share_of(listener->config().max_unavailable, static_cast<std::uint32_t>(there.size()));
  std::vector<std::string> ids;
  for (unsigned long number = there.back() + 1; number <= ipc::kMaxWorkers && ids.size() < at_once_; ++number) {
    ids.push_back(std::to_string(number));
  }
  if (ids.empty()) return done("");  // no room for one more: the others do
  start(ids, [this, ids, done](ReplyError error) {
    if (error == ReplyError::none) extra_ = ids;
    if (error != ReplyError::start_failed) return done("");
    const std::string which = ids.size() == 1 ? ids.front() : ids.front() + " to " + ids.back();
    end(ids, false, [this, which, done](const std::string&) {
      done(fmt::format("{}/{}: a new worker did not become ready", listener_, which));
    });
  });
}

void WorkerRenewal::replace(Done done) {
  std::vector<std::string> batch = outdated();
  if (batch.empty()) return done("");
  batch.resize(std::min(batch.size(), at_once_));
  for (const std::string& id : batch) {
    daemon_.control_.operate(Operation::terminate_child, listener_, id, [](ReplyError) {});
  }
  start_again(batch, kAttempts, std::move(done));
}

// They have left: one that dies as it starts, for whatever reason, is no reason to go on with one worker less.
void WorkerRenewal::start_again(const std::vector<std::string>& batch, int attempts_left, Done done) {
  start(batch, [this, batch, attempts_left, done](ReplyError error) {
    if (error == ReplyError::start_failed && attempts_left == 0) {
      return end(batch, true, [this, done](const std::string&) {
        done(listener_ + ": a worker that was to take another's place did not become ready");
      });
    }
    if (error != ReplyError::none && error != ReplyError::start_failed) return done("");  // stopped, or gone
    daemon_.later([this, alive = std::weak_ptr(alive_), batch, error, attempts_left, done] {
      if (alive.expired()) return;
      if (error == ReplyError::none) return replace(done);
      start_again(not_there(batch), attempts_left - 1, done);
    });
  });
}

std::vector<std::string> WorkerRenewal::not_there(std::vector<std::string> batch) const {
  std::erase_if(batch, [this](const std::string& id) {
    const auto node = daemon_.tree_.find(listener_ + "/" + id);
    const auto view = node ? daemon_.tree_.node(*node, now()) : std::nullopt;
    return view && view->state != supervision::NodeState::stopped;
  });
  return batch;
}

void WorkerRenewal::end_extra(Done done) {
  end(std::exchange(extra_, {}), false, std::move(done));
}

void UpgradeRenewal::begin(std::uint64_t incarnation, Done done) {
  incarnation_ = incarnation;
  done_ = std::move(done);
  daemon_.workers_.for_each([this](const process::WorkerProcess& worker) {
    const std::string listener = supervision::parent_of(worker.path);
    const bool is_old = worker.incarnation != incarnation_;
    if (is_old && std::ranges::find(listeners_, listener) == listeners_.end()) listeners_.push_back(listener);
  });
  next_listener();
}

void UpgradeRenewal::abandon() {
  listeners_.clear();
  renewal_.reset();
  done_ = nullptr;
}

void UpgradeRenewal::next_listener() {
  if (listeners_.empty()) return finish("");
  const auto is_old = [incarnation = incarnation_](const process::WorkerProcess& worker) {
    return worker.incarnation != incarnation;
  };
  renewal_ = std::make_unique<WorkerRenewal>(daemon_, listeners_.front(), is_old);
  listeners_.pop_front();
  WorkerRenewal& renewal = *renewal_;
  renewal.start_extra([this, &renewal](const std::string& problem) {
    if (!problem.empty()) return finish(problem);
    renewal.replace([this, &renewal](const std::string& unfit) {
      if (!unfit.empty()) return finish(unfit);
      renewal.end_extra([this](const std::string&) { daemon_.later([this] { next_listener(); }); });
    });
  });
}

void UpgradeRenewal::finish(const std::string& problem) {
  listeners_.clear();
  if (done_) std::exchange(done_, nullptr)(problem);
}

}  // namespace bulkhead
