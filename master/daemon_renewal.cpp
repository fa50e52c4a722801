#include "master/daemon_renewal.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "master/control/tree_of_config.h"
#include "master/daemon.h"
#include "master/node_path.h"
#include "master/now.h"

namespace bulkhead {

namespace {

using supervision::Operation;
using supervision::ReplyError;

constexpr int kAttempts = 3;

}  // namespace

void WorkerRenewal::begin(std::uint64_t incarnation, Done done) {
  incarnation_ = incarnation;
  done_ = std::move(done);
  for (const auto& [path, listener] : daemon_.listeners_) {
    if (!outdated(path).empty()) listeners_.push_back(path);
  }
  next_listener();
}

std::vector<std::string> WorkerRenewal::outdated(const std::string& listener) const {
  std::vector<std::string> out;
  daemon_.workers_.for_each([&](const process::WorkerProcess& worker) {
    if (worker.incarnation != incarnation_ && parent_of(worker.path) == listener) out.push_back(worker.path);
  });
  return out;
}

void WorkerRenewal::abandon() {
  abandoned_ = true;
}

void WorkerRenewal::next_listener() {
  if (abandoned_) return;
  if (listeners_.empty()) return std::exchange(done_, nullptr)("");
  const std::string path = listeners_.front();
  listeners_.pop_front();
  daemon_.later([this, path] { try_one(path); });
}

void WorkerRenewal::try_one(const std::string& path) {
  if (abandoned_) return;
  const auto id = daemon_.tree_.find(path);
  const auto view = id ? daemon_.tree_.node(*id, now()) : std::nullopt;
  if (!view || view->children.empty()) return next_listener();  // stopped, or gone
  unsigned long last = 0;
  for (const supervision::NodeId child : view->children) {
    if (const auto worker = daemon_.tree_.node(child, now())) last = std::max(last, std::stoul(worker->spec->id));
  }
  if (last >= ipc::kMaxWorkers) return next_worker(path, "");  // no room for one more: the others do
  const auto spec = control::worker_spec(static_cast<std::uint32_t>(last + 1), view->spec->restart_delay);
  const std::string extra = path + "/" + spec.id;
  const auto started = [this, path, extra](ReplyError error) {
    if (error == ReplyError::none) return daemon_.later([this, path, extra] { next_worker(path, extra); });
    if (error == ReplyError::start_failed) return failed(extra);
    next_listener();
  };
  daemon_.control_.operate(Operation::start_child, path, spec.id, started, spec);
}

void WorkerRenewal::next_worker(const std::string& path, const std::string& extra) {
  if (abandoned_) return;
  const std::vector<std::string> left = outdated(path);
  if (left.empty()) return remove(extra);
  const std::string worker = left.front();
  daemon_.control_.operate(Operation::terminate_child, path, id_of(worker),
                           [this, path, extra, worker](ReplyError error) {
                             if (error != ReplyError::none || abandoned_) return remove(extra);
                             restart(path, extra, worker, kAttempts);
                           });
}

// It has left: one that dies as it starts, for whatever reason, is no reason to go on with one worker less.
void WorkerRenewal::restart(const std::string& path, const std::string& extra, const std::string& worker,
                            int attempts_left) {
  daemon_.control_.operate(Operation::restart_child, path, id_of(worker),
                           [this, path, extra, worker, attempts_left](ReplyError error) {
                             daemon_.later([this, path, extra, worker, attempts_left, error] {
                               if (abandoned_) return;
                               if (error != ReplyError::start_failed) return next_worker(path, extra);
                               if (attempts_left == 0) return failed(worker);
                               restart(path, extra, worker, attempts_left - 1);
                             });
                           });
}

void WorkerRenewal::failed(const std::string& worker) {
  if (abandoned_) return;
  listeners_.clear();
  std::exchange(done_, nullptr)(fmt::format("{}, a worker of the new program, did not become ready", worker));
}

// The last deed for a listener.
void WorkerRenewal::remove(const std::string& worker) {
  if (abandoned_) return;
  if (worker.empty()) return next_listener();
  const std::string path = parent_of(worker);
  const auto over = [this](ReplyError) { next_listener(); };
  daemon_.control_.operate(Operation::terminate_child, path, id_of(worker),
                           [this, path, worker, over](ReplyError error) {
                             if (error != ReplyError::none) return over(error);
                             daemon_.control_.operate(Operation::delete_child, path, id_of(worker), over);
                           });
}

}  // namespace bulkhead
