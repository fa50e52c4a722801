#include "master/running/children.h"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <iterator>
#include <utility>
#include <variant>

#include "master/host/clock.h"
#include "master/journal/exit_text.h"
#include "master/process/background.h"
#include "master/process/credentials.h"
#include "master/process/exit_judgement.h"
#include "master/process/failure_text.h"
#include "master/process/recycling.h"
#include "master/supervision/path.h"
#include "worker/ipc/connection_log.h"
#include "worker/log/log.h"
#include "worker/log/suppressed.h"
#include "worker/sys/clock.h"
#include "worker/sys/overloaded.h"
#include "worker/sys/shortage.h"

namespace bulkhead::running {

using supervision::ChildExited;
using supervision::ChildReady;
using supervision::ExitReason;
using supervision::NodeType;
using supervision::StartFailed;

namespace {

constexpr auto kNextWalk = std::chrono::milliseconds(10);

std::optional<supervision::Instant> earliest(std::initializer_list<std::optional<supervision::Instant>> deadlines) {
  std::optional<supervision::Instant> out;
  for (const auto& deadline : deadlines) {
    if (deadline && (!out || *deadline < *out)) out = deadline;
  }
  return out;
}

std::optional<supervision::Instant> start_deadline(const config::Node& node) {
  return node.start_timeout ? std::optional(now() + *node.start_timeout) : std::nullopt;
}

}  // namespace

Children::Children(loop::Loop& loop, process::ChildSystem& system, Listeners& listeners, journal::Narrator& narrator,
                   const Settings& settings, Observer observer)
    : system_(system),
      listeners_(listeners),
      narrator_(narrator),
      observer_(std::move(observer)),
      errors_(loop, [this](const net::Listener& listener, pid_t leader) { return adoption_.find(listener, leader); }),
      workers_(loop, system, errors_, {settings.log, settings.generation, settings.handler_error_fd, 1},
               {[this](process::WorkerProcess& worker) {
                  table_failures_.erase(worker.listener);
                  observer_.on_worker_ready(worker);
                  observer_.apply(ChildReady{worker.node, worker.run});
                },
                [this](process::WorkerProcess& worker, const process::WorkerNews& news) { on_news(worker, news); },
                [this](process::WorkerProcess& worker) { narrator_.worker_hung(worker.path, worker.pid); },
                [this](process::WorkerProcess& worker) { on_table_failed(worker); }}),
      processes_(loop, system,
                 {[this](process::ProcessChild& child) {
                    observer_.apply(ChildReady{child.node, child.run});
                  },
                  [this](process::ProcessChild& child) { narrator_.watchdog_expired(child.path); },
                  [](process::ProcessChild&) {}}),
      adoption_(
          system, settings.log.connection_end,
          [this](pid_t pid) { return workers_.knows(pid) || processes_.knows(pid) || observer_.is_stranger(pid); },
          [this](const process::Adoption::Crash& crash) {
            if (!may_publish(crash.listener)) return;
            narrator_.connection_failed(crash.listener.path(), crash.id, crash.slot.pid, crash.client_gone);
          }),
      next_slice_(loop, [this] { do_slice(); }) {
  (void)processes_.use_log(settings.log, settings.handler_error_fd);
  listeners_.on_made([this](net::Listener& listener) { watch(listener); });
  listeners_.on_forgotten([this](net::Listener& listener) { forget(listener); });
}

void Children::watch(net::Listener& listener) {
  listener.gate().on_change([this, &listener](bool accepting) {
    if (accepting) {
      workers_.send(listener, ipc::Resume{});
    } else {
      workers_.send(listener, ipc::Suspend{});
    }
  });
}

// Not while a connection may still use it.
void Children::take_back(const net::Listener& listener) const {
  if (!has_connections(listener)) process::take_back(listener.path(), listener.config().child);
}

void Children::take_back_all() const {
  for (const net::Listener* listener : listeners_.all()) take_back(*listener);
}

void Children::forget(net::Listener& listener) {
  take_back(listener);
  adoption_.forget(listener);
  errors_.forget(listener);
  workers_.logs().forget(listener);
  news_.erase(&listener);
  workers_.errands().forget(listener);
  table_failures_.erase(&listener);
  renewed_.erase(&listener);
}

void Children::renew_news(std::int64_t now_ns) {
  for (auto& [listener, budget] : news_) {
    const std::uint64_t suppressed = budget.renew_each_second(now_ns);
    if (suppressed == 0) continue;
    log::Line line(log::Level::warning, listener->path());
    log::add_suppressed(line, budget.limits().lines, suppressed,
                        {.does = "its workers report", .thing = "event", .what_was_not_done = "published"});
    line.write();
  }
}

// True while the listener is ending: another worker would only open the port again.
bool Children::is_superfluous(const net::Listener* listener) const {
  if (leaves_) return true;
  return !everything_ends_ && listener != nullptr && listener->is_ending() && !listener->is_open();
}

void Children::start(const NodeView& child, const NodeView& parent, RunId run, const config::Node& node) {
  const bool worker = child.spec->type == NodeType::worker;
  if (worker && renewed_.contains(listeners_.at(parent.path))) {
    return observer_.apply(StartFailed{child.id, run, ExitReason::shortage, "waits for its connection table"});
  }
  if (worker && is_superfluous(listeners_.at(parent.path))) {
    return observer_.apply(StartFailed{child.id, run, ExitReason::permanent_failure, "is no longer needed"});
  }
  const auto error = worker ? start_worker(child, parent, run, node) : start_process(child, run, node);
  if (!error) return;
  narrator_.start_failed(child.path, *error);
  const auto reason = process::judge_start(true, sys::is_shortage(error->code), ExitReason::abnormal);
  observer_.apply(StartFailed{child.id, run, reason, "could not be started (" + error->text() + ")"});
}

std::optional<sys::Error> Children::start_worker(const NodeView& child, const NodeView& parent, RunId run,
                                                 const config::Node& node) {
  auto listener = listeners_.open_for_worker(node, parent.path);
  if (!listener) return listener.error();
  const auto index = static_cast<std::uint32_t>(std::strtoul(child.spec->id.c_str(), nullptr, 10));
  auto error = workers_.start(child.id, run, child.path, **listener, index, start_deadline(node));
  if (!error) narrator_.started(run, child.path, workers_.find(run)->pid);
  return error;
}

std::optional<sys::Error> Children::start_process(const NodeView& child, RunId run, const config::Node& node) {
  auto error = processes_.start(child.id, run, child.path, *node.process, child.spec->shutdown, node.start_timeout);
  ++process_changes_;
  if (!error) narrator_.started(run, child.path, processes_.find(run)->pid, node.process->stop_signal);
  return error;
}

bool Children::announce_end(RunId run) {
  const bool gone = std::ranges::any_of(gone_, [run](const Gone& one) { return one.end.run == run; });
  if (gone || workers_.has_ended(run) || processes_.has_ended(run) || workers_.find_let_go(run)) return false;
  asked_.insert(run);
  return true;
}

// For the tree; its process stays with its connections.
bool Children::ended_by_letting_go(RunId run) {
  const process::WorkerProcess* const worker = workers_.find_let_go(run);
  if (worker != nullptr) observer_.apply(ChildExited{worker->node, run, ExitReason::shutdown, "was let go"});
  return worker != nullptr;
}

void Children::stop(RunId run) {
  if (ended_by_letting_go(run)) return;
  if (!asked_.contains(run)) return;
  workers_.stop(run);
  processes_.stop(run);
}

void Children::kill(RunId run) {
  if (ended_by_letting_go(run)) return;
  if (!asked_.contains(run)) return;
  workers_.kill(run);
  processes_.kill(run);
}

void Children::abort_starts() {
  everything_ends_ = true;
  const auto tell = [this](RunId run, const std::string& path) {
    asked_.insert(run);
    narrator_.stopping(run, path, true);
  };
  workers_.abort_starts(tell);
  processes_.abort_starts(tell);
}

void Children::kill_everything() {
  workers_.kill_all();
  processes_.kill_all();
}

// Thousands of connections may end at once.
void Children::reap() {
  const std::int64_t began = sys::monotonic_ns();
  more_ended_ = false;
  for (pid_t pid = system_.some_ended(); pid != 0; pid = system_.some_ended()) {
    if (sys::monotonic_ns() - began >= sys::kSlice) {
      more_ended_ = true;
      next_slice_.start(std::chrono::nanoseconds(0));
      break;
    }
    if (processes_.waits_for_group(pid)) {
      walk_again_ = true;
      reap_behind();
      break;
    }
    if (!reap_one(pid)) break;
  }
  if (strays_) finish_gone();
  finish_processes();
  collect();
}

// False: there was nothing to reap.
bool Children::reap_one(pid_t pid) {
  if (strays_) strays_->reaped(pid);
  if (adoption_.knows(pid)) {
    adoption_.reap(pid);
  } else if (processes_.knows(pid)) {
    on_process_end(pid);
  } else if (workers_.knows(pid)) {
    on_worker_end(pid);
  } else if (const auto end = system_.reap(pid, false); !end) {
    return false;
  } else if (observer_.is_stranger(pid)) {
    observer_.on_stranger_reaped(pid, end->wait_status);
  } else {
    adoption_.park(pid, end->wait_status, sys::monotonic_ns());
  }
  return true;
}

// While a zombie stays, waitid(2) keeps returning the same zombie. Workers and processes are few, so all of them are
// examined each time; of all the others, some in each turn.
void Children::reap_behind() {
  std::vector<pid_t> known;
  workers_.for_each([&known](const process::WorkerProcess& worker) { known.push_back(worker.pid); });
  processes_.for_each([&known](const process::ProcessChild& child) { known.push_back(child.pid); });
  if (behind_.at_end()) walk_again_ = false;
  const std::vector<pid_t> others = system_.next_children(behind_);
  known.insert(known.end(), others.begin(), others.end());
  for (const pid_t pid : known) {
    if (!processes_.waits_for_group(pid) && system_.has_ended(pid)) (void)reap_one(pid);
  }
  const bool again = walk_again_ || !behind_.at_end();
  next_walk_ = again ? std::optional(now() + kNextWalk) : std::nullopt;
}

void Children::finish_processes() {
  for (const process::ChildEnd& end : processes_.take_over(now())) {
    ++process_changes_;
    ended(end);
  }
}

bool Children::has_connections(const net::Listener& listener) const {
  return adoption_.has_any(listener) || is_being_swept(listener) ||
         (listener.has_workers() && listener.counts().used != 0);
}

void Children::collect() {
  for (net::Listener* listener : adoption_.take_ordered()) workers_.errands().next(*listener);
}

bool Children::is_somebodys(pid_t pid) const {
  return workers_.knows(pid) || processes_.knows(pid) || adoption_.knows(pid) || observer_.is_stranger(pid);
}

void Children::on_process_end(pid_t pid) {
  const bool left = processes_.has_exited_soon(pid) &&
                    process::has_left_some_running(system_, pid, [this](pid_t one) { return is_somebodys(one); });
  if (auto end = processes_.leader_ended(pid)) {
    if (left && end->failure.empty()) end->failure = process::kInBackground;
    tell(*end);
  }
  finish_processes();
}

void Children::tell(const process::ChildEnd& end) {
  narrator_.ended(end.run, end.path, end.wait_status, end.expected, was_asked(end.run),
                  journal::remark_of(end.failure, end.adopted));
}

void Children::ended(const process::ChildEnd& end) {
  asked_.erase(end.run);
  std::string how = journal::cause_text(end.wait_status, end.failure, !end.start_failed);
  if (end.start_failed) {
    observer_.apply(StartFailed{end.node, end.run, end.reason, std::move(how)});
  } else {
    observer_.apply(ChildExited{end.node, end.run, end.reason, std::move(how)});
  }
}

void Children::on_news(const process::WorkerProcess& worker, const process::WorkerNews& news) {
  if (std::holds_alternative<ipc::Wanted>(news)) return observer_.on_wanted(*worker.listener);
  if (const auto* const worn = std::get_if<ipc::Worn>(&news)) return recycle(worker, worn->reason);
  if (may_publish(*worker.listener)) publish(worker, news);
  const auto* const paused = std::get_if<ipc::Paused>(&news);
  if (paused != nullptr && paused->reason == ipc::PauseReason::socket) observer_.on_socket_lost(*worker.listener);
  const bool full =
      paused != nullptr && (paused->reason == ipc::PauseReason::full || paused->reason == ipc::PauseReason::total);
  if (full) observer_.on_full(*worker.listener);
}

void Children::publish(const process::WorkerProcess& worker, const process::WorkerNews& news) {
  const net::Listener& listener = *worker.listener;
  std::visit(sys::Overloaded{[&](const ipc::Crash& crash) {
                               const std::uint64_t id = ipc::connection_id(crash.use, listener.number(), crash.slot);
                               narrator_.connection_failed(listener.path(), id, crash.pid, crash.client_gone != 0);
                             },
                             [&](const ipc::Paused& paused) {
                               narrator_.accept_paused(listener.path(), worker.path, paused.reason, paused.error);
                             },
                             [&](const ipc::Resumed&) { narrator_.accept_resumed(listener.path(), worker.path); },
                             [](const auto&) {}},
             news);
}

void Children::recycle(const process::WorkerProcess& worker, ipc::WornReason reason) {
  if (leaves_ || everything_ends_ || !workers_.recycle(worker.run, reason)) return;
  narrator_.worker_recycled(worker.path, worker.pid,
                            process::recycle_text(worker.listener->config().recycling, reason));
}

void Children::tick() {
  adoption_.tick(sys::monotonic_ns());
  reap();  // a safety net: signals can be lost to a debugger
  for (net::Listener* listener : listeners_.all()) {
    if (listener->to_collect()) workers_.errands().next(*listener);  // those whose workers could not be asked before
  }
  errors_.tick(sys::monotonic_ns());
  renew_news(sys::monotonic_ns());
  workers_.kill_hung(now());
  workers_.tell_unkillable(now());
  processes_.tick(now());
}

void Children::on_deadline() {
  workers_.on_deadline(now());
  processes_.on_deadline(now());
  adoption_.on_deadline(now());
  if (next_walk_ && *next_walk_ <= now()) reap_behind();
  if (strays_ && strays_->deadline() <= now()) finish_gone();
  finish_processes();
}

std::optional<supervision::Instant> Children::next_deadline() const {
  const auto strays = strays_ ? std::optional(strays_->deadline()) : std::nullopt;
  return earliest(
      {workers_.next_deadline(), processes_.next_deadline(), adoption_.next_deadline(), next_walk_, strays});
}

void Children::change(RunId run, const config::Node& node) {
  processes_.change(run, *node.process, node.spec.shutdown, node.start_timeout);
  narrator_.stop_signal_is(run, node.process->stop_signal);
}

void Children::tell_to_reload(const std::function<bool(const std::string& path)>& concerns) {
  processes_.tell_to_reload(concerns);
}

std::vector<std::string> Children::use_log(const config::Log& config, const host::LogTarget& target) {
  std::vector<std::string> problems = processes_.use_log(config, target.handlers.get());
  adoption_.set_log_ends(config.connection_end);
  std::ranges::move(workers_.replace_log(config, target.handlers.get()), std::back_inserter(problems));
  return problems;
}

std::vector<std::string> Children::use_log() {
  const config::Log daemon = processes_.daemon_log();
  std::vector<std::string> problems = processes_.use_log(daemon, processes_.error_fd());
  std::ranges::move(workers_.replace_log(daemon, processes_.error_fd()), std::back_inserter(problems));
  return problems;
}

std::optional<Children::RunView> Children::view(RunId run) const {
  if (const auto* worker = workers_.find(run)) return RunView{worker->pid, worker->generation, "", false};
  if (const auto* child = processes_.find(run))
    return RunView{child->pid, 0, child->status, child->ended || child->group.has_leader_ended()};
  return std::nullopt;
}

namespace {

bool is_a_workers(const net::Listener& listener, std::uint32_t slot, std::uint32_t use) {
  const auto copy = listener.table().copy(slot);
  return copy && copy->use == use && copy->state == ipc::SlotState::serving &&
         copy->owner != process::Adoption::kMaster;
}

}  // namespace

void Children::signal_connections(net::Listener& listener, int signal) {
  workers_.send(listener, ipc::Signal{ipc::kAllSlots, 0, signal});
  signal_adopted(listener, signal);
}

void Children::signal_adopted(net::Listener& listener, int signal) {
  adoption_.signal_all(listener, signal);
  if (!adoption_.signal_some()) next_slice_.start(std::chrono::nanoseconds(0));
}

bool Children::end_connection(net::Listener& listener, std::uint32_t slot, std::uint32_t use, ipc::EndCause cause) {
  if (adoption_.end_one(listener, slot, use, cause)) return true;
  if (!is_a_workers(listener, slot, use)) return false;
  workers_.send(listener, ipc::End{slot, use, cause});
  return true;
}

Signalled Children::signal_connection(net::Listener& listener, std::uint32_t slot, std::uint32_t use, int signal) {
  if (adoption_.signal_one(listener, slot, use, signal)) return Signalled::yes;
  if (!is_a_workers(listener, slot, use)) return Signalled::gone;
  return workers_.send(listener, ipc::Signal{slot, use, signal}) ? Signalled::yes : Signalled::not_yet;
}

process::ChildrenHandover Children::hand_over() const {
  return {workers_.hand_over(),           workers_.logs().hand_over(), processes_.hand_over(),
          processes_.hand_over_remains(), errors_.hand_over(),         adoption_.hand_over(),
          workers_.errands().hand_over()};
}

void Children::resume(const process::ChildrenHandover& from, const std::vector<RunId>& asked, const FindNode& find) {
  asked_.insert(asked.begin(), asked.end());
  for (const process::WorkerHandover& worker : from.workers) {
    workers_.resume(worker, *listeners_.at(supervision::parent_of(worker.path)));
  }
  for (const process::LinesHandover& lines : from.lines) {
    workers_.logs().resume(lines, listeners_.at(supervision::parent_of(lines.path)));
  }
  for (const process::ForgiveHandover& one : from.forgive) {
    workers_.errands().resume(*listeners_.at(one.listener), one);
  }
  for (const process::ErrorsHandover& errors : from.errors) {
    const net::Listener& listener = *listeners_.at(errors.listener);
    errors_.resume(errors, listener);
    if (!workers_.has(listener, errors.index)) errors_.worker_gone(listener, errors.index);
  }
  for (const process::ProcessHandover& child : from.processes) {
    const config::Node& node = *find(child.path);
    processes_.resume(child, *node.process, node.spec.shutdown, node.start_timeout);
  }
  for (const process::RemainsHandover& remains : from.remains) processes_.resume(remains, now());
  adoption_.resume([this](const std::string& path) { return listeners_.at(path); }, from.adoption);
}

}  // namespace bulkhead::running
