// The end of a worker's service to this master (workers.h): it is let go with its connections, and nobody commands it
// any longer; or it has served enough, and another takes its place.
#include <sys/socket.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "master/host/clock.h"
#include "master/process/recycling.h"
#include "master/process/workers.h"
#include "worker/ipc/channel.h"
#include "worker/ipc/message.h"

namespace bulkhead::process {

namespace {

// For one that is recycled; it finishes PROXY headers first.
constexpr std::chrono::seconds kTimeToLeave(10);

bool has_closed_its_sockets(const WorkerProcess& worker) noexcept {
  return worker.drained || worker.retiring;
}

// It reads the messages on their way, then an end of file, and says Drained once more. We can still read that.
void close_channel(WorkerProcess& worker) noexcept {
  if (!std::exchange(worker.alone, true)) ::shutdown(worker.channel.get(), SHUT_WR);
}

}  // namespace

bool Workers::let_go(const net::Listener& listener, LetGo how) {
  bool all = true;
  for (auto& [run, worker] : workers_) {
    if (worker.listener != &listener || system_.has_ended(worker.pid)) continue;
    const bool closed = has_closed_its_sockets(worker);
    all = all && closed;
    if (closed) worker.state = WorkerProcess::State::leaving;
    // One that is still starting reads it once it accepts.
    if (!closed && !std::exchange(worker.told_to_drain, true)) (void)ipc::send(worker.channel.get(), ipc::Drain{});
    if (closed || how != LetGo::asked) close_channel(worker);
    if (closed || how != LetGo::killed) continue;
    kill_because(worker, "did not close its sockets");
  }
  return all;
}

const WorkerProcess* Workers::find_let_go(RunId run) const {
  const WorkerProcess* const worker = find(run);
  return worker != nullptr && worker->alone && has_closed_its_sockets(*worker) ? worker : nullptr;
}

bool Workers::recycle(RunId run, ipc::WornReason reason) {
  WorkerProcess* const worker = workers_.find(run);
  if (worker == nullptr || !is_limited(worker->listener->config().recycling, reason)) return false;
  const net::Listener& listener = *worker->listener;
  RecycleQuestion question{.reason = reason, .state = worker->state, .served = now() - worker->ready_since};
  question.leaves_anyway = listener.is_ending() || !listener.gate().accepting() || worker->told_to_drain;
  question.sibling_is_missing = std::any_of(workers_.begin(), workers_.end(), [&](const auto& one) {
    return one.second.listener == &listener && one.second.state != WorkerProcess::State::ready && !one.second.alone;
  });
  if (!may_recycle(question)) return false;
  stop(run);
  worker->start_deadline = now() + kTimeToLeave + 2 * listener.config().proxy.timeout;
  return true;
}

}  // namespace bulkhead::process
