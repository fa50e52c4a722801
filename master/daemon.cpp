#include "master/daemon.h"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <utility>

#include "master/config/tree_of_config.h"
#include "master/host/clock.h"
#include "master/journal/exit_text.h"
#include "master/supervision/path.h"
#include "worker/ipc/connection_log.h"
#include "worker/log/log.h"
#include "worker/sys/clock.h"
#include "worker/sys/overloaded.h"
#include "worker/sys/signal.h"

namespace bulkhead {

namespace {

using namespace std::chrono_literals;
using namespace supervision;

}  // namespace

Daemon::Daemon(config::Config config, std::string effective, DaemonOptions options, host::LogTarget log)
    : config_(std::make_shared<config::Config>(std::move(config))),
      effective_(std::move(effective)),
      options_(std::move(options)),
      log_(std::move(log)),
      errors_(loop_, [this](const net::Listener& listener, pid_t leader) { return adoption_.find(listener, leader); }),
      workers_(
          loop_, system_, errors_, {config_->log, generation_, log_.lines.get(), log_.handlers.get()},
          {[this](process::WorkerProcess& worker) { on_worker_ready(worker); },
           [this](process::WorkerProcess& worker, const process::WorkerNews& news) { on_worker_news(worker, news); },
           [this](process::WorkerProcess& worker) { on_worker_hung(worker); }}),
      processes_(loop_, system_, {[this](process::ProcessChild& child) {
                           apply(ChildReady{child.node, child.run});
                         },
                         [this](process::ProcessChild& child) { events_.publish("watchdog_expired", child.path); },
                         [](process::ProcessChild&) {}}),
      adoption_(
          config_->log.connection_end,
          [this](pid_t pid) { return workers_.knows(pid) || processes_.knows(pid) || upgrade_.knows(pid); },
          [this](const process::Adoption::Crash& crash) {
            char hex[17];
            events_.publish("connection_crashed", crash.listener.path(),
                            {{"id", ipc::hex_text(crash.id, hex)}, {"pid", crash.slot.pid}});
          }),
      tree_(config::tree_of_config(register_nodes(config_->root, config_)), static_cast<std::uint64_t>(getpid())),
      narrator_(events_),
      stop_(loop_, workers_, adoption_, {config_->drain_timeout, config_->lame_duck, config_->close_spread}),
      signals_(sys::open_signal_fd({SIGCHLD})),
      deadline_(loop_, [this] { on_deadline(); }),
      tick_(loop_, [this] { tick(); }),
      later_(loop_,
             [this] {
               for (const auto& deed : std::exchange(deeds_later_, {})) deed();
             }),
      control_(*this),
      endings_(*this),
      reload_(*this),
      upgrade_(*this),
      started_(now()),
      watchdog_(loop_, [this] { services_.watchdog(); }) {}

Daemon::~Daemon() = default;

const config::Node& Daemon::register_nodes(config::Node& node, const std::shared_ptr<const void>& owner) {
  node.spec.tag = static_cast<std::uint32_t>(nodes_.size());
  nodes_.push_back({&node, owner});
  for (config::Node& child : node.children) register_nodes(child, owner);
  return node;
}

net::Listener* Daemon::listener_at(const std::string& path) {
  const auto found = listeners_.find(path);
  return found == listeners_.end() ? nullptr : found->second.get();
}

const config::Node* Daemon::node_at(const std::string& path) const {
  const auto id = tree_.find(path);
  const auto view = id ? tree_.node(*id, now()) : std::nullopt;
  return view ? nodes_.at(view->spec->tag).node : nullptr;
}

// What is there already keeps its tag, and from now on means the new entry; what is not, below a supervisor that is
// stopped for one, gets its own for when it comes.
void Daemon::adopt_entries(config::Node& node, const std::string& path, const std::shared_ptr<const void>& owner) {
  for (config::Node& child : node.children) adopt_entries(child, path + "/" + child.spec.id, owner);
  const auto id = tree_.find(path);
  const auto view = id ? tree_.node(*id, now()) : std::nullopt;
  if (!view || view->spec->type != node.spec.type) {
    node.spec.tag = static_cast<std::uint32_t>(nodes_.size());
    nodes_.push_back({&node, owner});
    return;
  }
  node.spec.tag = view->spec->tag;
  nodes_.at(node.spec.tag) = {&node, owner};
  if (net::Listener* listener = listener_at(path); listener != nullptr) listener->source = &node;
}

void Daemon::take_configuration(std::shared_ptr<config::Config> config, std::string effective) {
  adopt_entries(config->root, "root", config);
  tree_.update(config::tree_of_config(config->root));
  config_ = std::move(config);
  effective_ = std::move(effective);
  stop_.set_times({config_->drain_timeout, config_->lame_duck, config_->close_spread});
}

void Daemon::forget_entry(std::uint32_t tag) {
  nodes_.at(tag) = {};
}

void Daemon::start() {
  stop_.set_world({[this] {
                     std::vector<net::Listener*> listeners;
                     for (auto& [path, listener] : listeners_) listeners.push_back(listener.get());
                     return listeners;
                   },
                   [this] {
                     abort_starts();
                     apply(StopRequested{});
                   },
                   [this] {
                     workers_.for_each(
                         [](const process::WorkerProcess& worker) { sys::signal_process(worker.pid, SIGKILL); });
                     processes_.kill_all();
                   },
                   [this](procedure::StopSequence::Phase phase) { on_phase(phase); }, [this] { finish(status_); }});
  signal_poll_ = std::make_unique<loop::Poll>(loop_, signals_.get(), [this] { on_signal(); });
  signal_poll_->start();
  choose_signals();
  tick_.start(1s, 1s);
  if (const auto every = services_.watchdog_interval()) watchdog_.start(*every, *every);
  apply(Start{});
}

void Daemon::tick() {
  if (adoption_.tick(sys::monotonic_ns())) tick_.start(5ms, 1s);
  reap();  // a safety net: signals can be lost to a debugger
  errors_.tick(sys::monotonic_ns());
  workers_.kill_hung(now());
  store_sockets();
  tell_services();
}

void Daemon::tell_services() {
  if (!services_.listens()) return;
  std::uint64_t serving = 0;
  std::uint64_t completed = 0;
  for (auto& [path, listener] : listeners_) {
    serving += listener->table().counts().serving;
    completed += listener->table().counts().completed;
  }
  services_.status(
      fmt::format("{}: {} connections, {} ended so far", procedure::phase_text(stop_.phase()), serving, completed));
  if (stop_.phase() != procedure::StopSequence::Phase::idle) services_.extend_timeout(10s);
}

void Daemon::apply(Event event) {
  pending_.push_back(std::move(event));
  if (applying_) return;  // what a command causes is applied after the commands before it
  applying_ = true;
  while (!pending_.empty()) {
    const Event next = std::move(pending_.front());
    pending_.pop_front();
    for (const Command& command : tree_.step(next, now())) carry_out(command);
  }
  applying_ = false;
  endings_.close_abandoned();
  announce_ready();
  arm_deadline();
}

void Daemon::carry_out(const Command& command) {
  struct Deeds {
    Daemon& daemon;
    void operator()(const StartChild& c) const { daemon.start_child(c); }
    void operator()(const StopChild& c) const { daemon.stop_child(c.run, false); }
    void operator()(const KillChild& c) const { daemon.stop_child(c.run, true); }
    void operator()(const Reply& reply) const { daemon.control_.on_reply(reply); }
    void operator()(const Report& report) const {
      if (const auto* started = std::get_if<report::SupervisorStarted>(&report); started != nullptr) {
        const auto found = daemon.listeners_.find(started->path);
        if (found != daemon.listeners_.end()) found->second->announced = false;
      }
      // One that was asked to end, in a restart of its siblings for one, keeps its ports.
      if (const auto* ended = std::get_if<report::SupervisorTerminated>(&report);
          ended != nullptr && (ended->cause == Cause::intensity || ended->cause == Cause::start_failed)) {
        daemon.endings_.gave_up(ended->path);
      }
      if (const auto* stopping = std::get_if<report::ChildStopping>(&report); stopping != nullptr) {
        return daemon.tell_stopping(*stopping);
      }
      daemon.narrator_.tell(report);
    }
    void operator()(const TreeTerminated& end) const { daemon.tree_terminated(end); }
  };
  std::visit(Deeds{*this}, command);
}

std::optional<sys::Error> Daemon::start_worker(const NodeView& view, RunId run) {
  const std::string listener_path = parent_of(view.path);
  const config::Node& node = *nodes_.at(tree_.node(view.parent, now())->spec->tag).node;
  // An operator had stopped it, which closed its sockets; or deleted it, and its supervisor's restart brought it back.
  const auto found = listeners_.find(listener_path);
  if (found == listeners_.end() || found->second->source != &node) {
    control_.forget(listener_path);
    if (auto error = add_listeners(node, listener_path)) return error;
  } else if (!found->second->is_open()) {
    if (auto error = found->second->change_closed(*node.listener)) return error;
    if (auto error = open_listener(*found->second)) return error;
  }
  net::Listener& listener = *listeners_.at(listener_path);
  const auto timeout = node.start_timeout;
  const auto index = static_cast<std::uint32_t>(std::strtoul(view.spec->id.c_str(), nullptr, 10));
  auto error = workers_.start(view.id, run, view.path, listener, index,
                              timeout ? std::optional(now() + *timeout) : std::nullopt);
  if (!error) narrator_.started(run, view.path, workers_.find(run)->pid);
  return error;
}

std::optional<sys::Error> Daemon::start_process(const NodeView& view, RunId run) {
  const config::Node& node = *nodes_.at(view.spec->tag).node;
  const auto deadline = node.start_timeout ? std::optional(now() + *node.start_timeout) : std::nullopt;
  auto error = processes_.start(view.id, run, view.path, *node.process, view.spec->shutdown, deadline);
  if (!error) narrator_.started(run, view.path, processes_.find(run)->pid, node.process->stop_signal);
  return error;
}

// On its way down: a worker is of no use any more, and would only open the port again.
bool Daemon::is_closed_for_good(const net::Listener& listener) const {
  return listener.draining && !listener.is_open() && stop_.phase() < procedure::StopSequence::Phase::stopping_tree;
}

void Daemon::start_child(const StartChild& command) {
  const auto view = tree_.node(command.node, now());
  if (!view) return;
  const bool is_worker = view->spec->type == NodeType::worker;
  if (const net::Listener* listener = is_worker ? listener_at(parent_of(view->path)) : nullptr;
      listener != nullptr && is_closed_for_good(*listener)) {
    return apply(StartFailed{command.node, command.run, ExitReason::permanent_failure, "is of no use any more"});
  }
  const auto error = is_worker ? start_worker(*view, command.run) : start_process(*view, command.run);
  if (!error) return;
  narrator_.start_failed(view->path, *error);
  apply(StartFailed{command.node, command.run, ExitReason::abnormal, "could not be started (" + error->text() + ")"});
}

void Daemon::tell_stopping(const report::ChildStopping& stopping) {
  if (!workers_.has_ended(stopping.run) && !processes_.has_ended(stopping.run)) narrator_.tell(stopping);
}

void Daemon::stop_child(RunId run, bool kill) {
  if (!narrator_.asked(run)) return;
  if (kill) {
    workers_.kill(run);
    processes_.kill(run);
  } else {
    workers_.stop(run);
    processes_.stop(run);
  }
}

// What has not become ready will not: the supervisor that waits for it would not hear of the stop before.
void Daemon::abort_starts() {
  const auto tell = [this](RunId run, const std::string& path) { narrator_.stopping(run, path, true); };
  workers_.abort_starts(tell);
  processes_.abort_starts(tell);
}

void Daemon::tree_terminated(const TreeTerminated& end) {
  const auto phase = stop_.phase();
  const bool asked = phase == procedure::StopSequence::Phase::stopping_tree || (!ready_ && is_stopping());
  if (!asked && (end.cause == Cause::intensity || end.cause == Cause::start_failed)) {
    status_ = kGaveUp;
    narrator_.gave_up(end);
  }
  stop_.tree_gone();
}

void Daemon::arm_deadline() {
  auto next = tree_.next_deadline();
  for (const auto other : {workers_.next_deadline(), processes_.next_deadline(), adoption_.next_deadline()}) {
    if (other && (!next || *other < *next)) next = other;
  }
  if (next) {
    deadline_.start(std::max(*next - now(), Duration(0)));
  } else {
    deadline_.stop();
  }
}

void Daemon::on_deadline() {
  workers_.on_deadline(now());
  processes_.on_deadline(now());
  adoption_.on_deadline(now());
  if (finishing_) return finish(status_);
  apply(DeadlineReached{});
}

// The one reaper. Looks before it reaps, because a zombie still pins its pid and its group.
void Daemon::reap() {
  for (;;) {
    siginfo_t info{};
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) return;
    const pid_t pid = info.si_pid;
    if (adoption_.knows(pid)) {
      adoption_.reap(pid);
      continue;
    }
    if (processes_.knows(pid)) {
      on_process_exit(pid);
      continue;
    }
    int status = 0;
    if (waitpid(pid, &status, 0) != pid) return;
    if (upgrade_.knows(pid)) {
      upgrade_.reaped(status);
    } else if (workers_.knows(pid)) {
      on_worker_exit(pid, status);
    } else {
      adoption_.park(pid, status, sys::monotonic_ns());
    }
  }
}

void Daemon::on_worker_exit(pid_t pid, int status) {
  const process::WorkerProcess worker = workers_.take(pid);
  net::Listener& listener = *worker.listener;
  const std::uint32_t adopted = adoption_.sweep(listener, worker.run);
  if (!workers_.has(listener, worker.index)) errors_.worker_gone(listener, worker.index);
  std::string remark = worker.failure.empty() ? "" : "it " + worker.failure;
  if (adopted != 0) {
    remark += remark.empty() ? "" : "; ";
    remark += adopted == 1 ? "its connection goes on without it"
                           : fmt::format("its {} connections go on without it", adopted);
  }
  using State = process::WorkerProcess::State;
  const bool expected = worker.retiring || worker.state == State::leaving;
  narrator_.ended(worker.run, worker.path, status, expected, remark);
  if (adopted != 0) {
    events_.publish("children_adopted", listener.path(), {{"from", worker.path}, {"count", adopted}});
  }
  stop_.worker_gone(listener);
  endings_.worker_gone(listener);
  // What it was woken for, or waited for, is the others' now.
  workers_.send(listener, ipc::Kick{});
  std::string how = journal::cause_text(status, worker.failure, worker.state != State::starting);
  const bool superfluous = is_closed_for_good(listener);
  ExitReason reason = worker.retiring ? ExitReason::retired : ExitReason::abnormal;
  if (superfluous) reason = ExitReason::permanent_failure;
  if (worker.state == State::starting) {
    if (!superfluous) reason = ExitReason::abnormal;
    apply(StartFailed{worker.node, worker.run, reason, std::move(how)});
  } else {
    apply(ChildExited{worker.node, worker.run, reason, std::move(how)});
  }
}

void Daemon::on_process_exit(pid_t pid) {
  const process::ProcessEnd end = processes_.reap(pid);
  const std::string remark = end.failure.empty() ? "" : "it " + end.failure;
  narrator_.ended(end.run, end.path, end.wait_status, end.expected, remark);
  std::string how = journal::cause_text(end.wait_status, end.failure, !end.start_failed);
  if (end.start_failed) {
    apply(StartFailed{end.node, end.run, end.reason, std::move(how)});
  } else {
    apply(ChildExited{end.node, end.run, end.reason, std::move(how)});
  }
}

void Daemon::on_worker_ready(process::WorkerProcess& worker) {
  stop_.worker_ready(worker);
  endings_.worker_ready(worker);
  apply(ChildReady{worker.node, worker.run});
}

void Daemon::on_worker_news(process::WorkerProcess& worker, const process::WorkerNews& news) {
  const std::string& path = worker.listener->path();
  const auto crashed = [&](const ipc::Crash& crash) {
    char hex[17];
    const std::uint64_t id = ipc::connection_id(crash.use, worker.listener->number(), crash.slot);
    events_.publish("connection_crashed", path, {{"id", ipc::hex_text(id, hex)}, {"pid", crash.pid}});
  };
  const auto paused = [&](const ipc::Paused& pause) {
    const std::string_view reason = ipc::kPauseWords.text(pause.reason);
    events_.publish("accept_paused", path, {{"reason", reason}, {"errno", pause.error}, {"worker", worker.path}});
  };
  const auto resumed = [&](const ipc::Resumed&) { events_.publish("accept_resumed", path, {{"worker", worker.path}}); };
  std::visit(sys::Overloaded{crashed, paused, resumed}, news);
}

void Daemon::on_worker_hung(process::WorkerProcess& worker) {
  log::Line(log::Level::error, worker.path)
      .text("does not answer and is killed; its connections go on")
      .field("pid", worker.pid)
      .write();
  events_.publish("watchdog_expired", worker.path);
}

void Daemon::on_phase(procedure::StopSequence::Phase phase) {
  reload_.daemon_stops();
  std::uint32_t connections = 0;
  for (auto& [path, listener] : listeners_) connections += listener->table().counts().serving;
  if (phase != procedure::StopSequence::Phase::done) services_.stopping();
  upgrade_.daemon_stops();
  choose_signals();
  store_sockets();
  tell_services();
  options_.inherited.forget();
  narrator_.on_the_way_down(phase, connections, config_->lame_duck);
}

void Daemon::reopen_log() {
  auto target = host::open_log_target(config_->log.target);
  if (!target) {
    log::Line(log::Level::error, "log").text("goes on in the old file: ").text(target.error().text()).write();
    return;
  }
  log_ = std::move(*target);
  host::configure_log(config_->log, log_.lines.get());
  workers_.replace_log(config_->log, log_.lines.get(), log_.handlers.get());
  processes_.set_error_fd(log_.handlers.get());
  adoption_.set_log_ends(config_->log.connection_end);
  log::Line(log::Level::info, "log").text("opened again").write();
}

void Daemon::later(std::function<void()> deed) {
  deeds_later_.push_back(std::move(deed));
  later_.start(0ms);
}

void Daemon::finish(int status) {
  status_ = status;
  // What process children left behind in their groups has its time to end, like everything else.
  finishing_ = processes_.groups_left() != 0;
  if (finishing_) return arm_deadline();
  server_.reset();
  log::Line(log::Level::info, "root").text("stopped").field("status", status).write();
  loop_.stop();
}

}  // namespace bulkhead
