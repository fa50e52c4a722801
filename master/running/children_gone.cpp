// What Children does once a worker has ended, in slices: its strays, its connections, its table, and the report.
#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "master/host/clock.h"
#include "master/process/exit_judgement.h"
#include "master/running/children.h"
#include "worker/log/log.h"
#include "worker/sys/clock.h"

namespace bulkhead::running {

using process::WorkerProcess;
using supervision::ExitReason;

void Children::on_worker_end(pid_t pid) {
  const bool never_ready = !workers_.of(pid).was_ready;
  if (never_ready) search_strays_of(workers_.of(pid));
  const auto how = system_.reap(pid, false).value_or(sys::Ended{});
  const process::WorkerProcess worker = workers_.take(pid);
  using State = process::WorkerProcess::State;
  Gone gone;
  gone.sweep.listener = worker.listener;
  gone.sweep.run = worker.run;
  gone.sweep.user = worker.user;
  gone.searched = !never_ready;
  gone.state = worker.state;
  gone.index = worker.index;
  gone.shortage = worker.shortage;
  gone.end.node = worker.node;
  gone.end.run = worker.run;
  gone.end.path = worker.path;
  gone.end.wait_status = how.wait_status;
  gone.end.failure = worker.failure;
  gone.end.start_failed = worker.state == State::starting;
  gone.end.expected = worker.retiring || worker.state == State::leaving;
  gone_.push_back(std::move(gone));
  finish_gone();
}

// Until the worker is reaped, the number of its group is ours.
void Children::search_strays_of(const process::WorkerProcess& worker) {
  (void)system_.signal(worker.pid, SIGKILL, true);
  const auto began = system_.start_time(worker.pid);
  if (!strays_) strays_.emplace(now());
  if (began) strays_->add({worker.path, *began, worker.listener->socket_inodes()});
}

// False: the rest comes in the loop's next turn. The processes that are killed are waited for, so that none of them has
// the port any more when the worker's end is reported.
bool Children::end_strays() {
  if (!strays_) return true;
  const auto is_known = [this](pid_t pid) { return is_somebodys(pid); };
  switch (strays_->go_on(system_, is_known, now())) {
    case process::StraySearch::Step::again: return false;
    case process::StraySearch::Step::waits: return true;
    case process::StraySearch::Step::over: break;
  }
  strays_.reset();
  for (Gone& gone : gone_) gone.searched = true;
  return true;
}

bool Children::is_being_swept(const net::Listener& listener) const {
  return std::ranges::any_of(gone_, [&](const Gone& one) { return one.sweep.listener == &listener && !one.swept; });
}

// False: the rest comes in the loop's next turn, so that nobody waits for long.
bool Children::sweep_gone() {
  for (Gone& gone : gone_) {
    if (!gone.swept) gone.swept = adoption_.sweep(gone.sweep);
    if (!gone.swept) return false;
  }
  return true;
}

// What takes long is done in slices, one in a turn of the loop.
void Children::do_slice() {
  if (adoption_.signal_some()) {
    if (!more_ended_) return finish_gone();
    reap();
  }
  next_slice_.start(std::chrono::nanoseconds(0));
}

void Children::finish_gone() {
  const bool searched = end_strays();
  if (!sweep_gone() || !renew_tables() || !searched) next_slice_.start(std::chrono::nanoseconds(0));
  for (;;) {
    const auto next = std::ranges::find_if(
        gone_, [this](const Gone& one) { return one.swept && one.searched && !renewed_.contains(one.sweep.listener); });
    if (next == gone_.end()) return;
    Gone gone = std::move(*next);
    gone_.erase(next);
    worker_gone(std::move(gone));
  }
}

void Children::worker_gone(Gone gone) {
  net::Listener& listener = *gone.sweep.listener;
  process::ChildEnd& end = gone.end;
  end.adopted = gone.sweep.adopted;
  if (!workers_.has(listener, gone.index)) errors_.worker_gone(listener, gone.index);
  tell(end);
  if (end.adopted != 0) narrator_.adopted(listener.path(), end.path, end.adopted);
  observer_.on_worker_gone(listener);
  // The other workers take over the client that woke it, or the slot for which it waited.
  workers_.send(listener, ipc::Kick{});
  workers_.errands().next(listener);
  end.reason = process::judge_worker_exit(gone.state, is_superfluous(&listener), gone.shortage);
  ended(end);
}

// One failure may be an accident. A table that two workers in a row cannot use would not serve a third one either.
void Children::on_table_failed(const process::WorkerProcess& worker) {
  net::Listener& listener = *worker.listener;
  if (++table_failures_[&listener] < 2 || !renewed_.insert(&listener).second) return;
  log::Line(log::Level::error, listener.path())
      .text("its connection table is unusable: replacing all workers and recreating it")
      .write();
  workers_.replace_all(listener, "has an unusable connection table");
}

// Waits until no worker has the old table and the connections of its workers are adopted. False: some need another
// turn.
bool Children::renew_tables() {
  const auto renewing = std::ranges::find_if(
      renewed_, [this](net::Listener* one) { return !one->has_workers() && !is_being_swept(*one); });
  if (renewing == renewed_.end()) return true;
  if (renew_table(**renewing)) renewed_.erase(renewing);
  return false;
}

// True: it is over, well or not.
bool Children::renew_table(net::Listener& listener) {
  std::optional<sys::Error> error;
  if (!listener.is_renewing()) {
    error = listener.begin_renewing(adoption_.slots_of(listener));
    if (!error) return false;
  } else {
    auto done = listener.go_on_renewing();
    if (done && !*done) return false;
    if (!done) error = done.error();
  }
  log::Line line(error ? log::Level::error : log::Level::warning, listener.path());
  if (error) {
    line.text("cannot recreate its connection table: ").text(error->text());
  } else {
    line.text("its connection table has been recreated; penalties and rates start over");
  }
  line.field("connections", static_cast<std::int64_t>(adoption_.count(listener))).write();
  table_failures_.erase(&listener);
  return true;
}

}  // namespace bulkhead::running
