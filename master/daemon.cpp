#include "master/daemon.h"

#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "worker/ipc/connection_log.h"
#include "worker/log/log.h"
#include "worker/sys/clock.h"
#include "worker/sys/signal.h"

namespace bulkhead {

namespace {

using namespace std::chrono_literals;
using namespace supervision;

constexpr auto kWatched = {SIGCHLD, SIGTERM, SIGQUIT, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH, SIGTTIN, SIGTTOU};
constexpr auto kBindPatience = 2s;  // a predecessor may be on its way out
constexpr auto kGeneration = 1U;

supervision::Instant now() {
  return supervision::Instant(std::chrono::steady_clock::now());
}

std::string parent_of(const std::string& path) {
  return path.substr(0, path.rfind('/'));
}

// A worker is a permanent child of its listener that restarts at once, unless it dies before it was ready or at once
// after.
ChildSpec worker_spec(std::uint32_t number, const RestartDelay& delay) {
  ChildSpec spec;
  spec.id = std::to_string(number);
  spec.type = NodeType::worker;
  spec.restart_delay = delay;
  spec.restart_delay.immediate_after_ready = true;
  return spec;
}

ChildSpec spec_of(const config::Node& node) {
  ChildSpec spec = node.spec;
  for (const config::Node& child : node.children) spec.children.push_back(spec_of(child));
  if (node.listener) {
    for (std::uint32_t i = 1; i <= node.listener->workers; ++i) {
      spec.children.push_back(worker_spec(i, node.spec.restart_delay));
    }
  }
  return spec;
}

int exit_status_of(const sys::Error& error) {
  if (error.code == EADDRINUSE) return kAddressInUse;
  return error.code == EACCES || error.code == EPERM ? kNoPermission : kSystemError;
}

}  // namespace

Daemon::Daemon(config::Config config, DaemonOptions options, lifecycle::LogTarget log)
    : config_(std::move(config)),
      options_(options),
      log_(std::move(log)),
      workers_(
          loop_, {config_.log, kGeneration, log_.lines.get(), log_.handlers.get()},
          {[this](process::WorkerProcess& worker) { on_worker_ready(worker); },
           [this](process::WorkerProcess& worker, const ipc::Message& message) { on_worker_news(worker, message); }}),
      adoption_(
          config_.log.connection_end, [this](pid_t pid) { return workers_.knows(pid); },
          [this](const process::Adoption::Crash& crash) {
            char hex[17];
            events_.publish("connection_crashed", crash.listener.path(),
                            {{"id", ipc::hex_text(crash.id, hex)}, {"pid", crash.slot.pid}});
          }),
      tree_(spec_of(config_.root), static_cast<std::uint64_t>(getpid())),
      narrator_(events_),
      stop_(loop_, workers_, adoption_, config_.drain_timeout),
      signals_(sys::open_signal_fd(kWatched)),
      deadline_(loop_, [this] { on_deadline(); }),
      tick_(loop_, [this] {
        if (adoption_.tick(sys::monotonic_ns())) tick_.start(5ms, 1s);
        reap();  // a safety net: signals can be lost to a debugger
      }) {}

Daemon::~Daemon() = default;

int Daemon::open_listeners(const config::Node& node, const std::string& path) {
  for (const config::Node& child : node.children) {
    const std::string child_path = path + "/" + child.spec.id;
    nodes_[child_path] = &child;
    if (const int status = open_listeners(child, child_path); status != 0) return status;
    if (!child.listener) continue;
    const auto number = static_cast<std::uint32_t>(listeners_.size());
    auto& listener = listeners_[child_path] = std::make_unique<net::Listener>(number, child_path, *child.listener);
    auto error = listener->open();
    // Only here may the master wait: nothing is served yet.
    const auto give_up = std::chrono::steady_clock::now() + kBindPatience;
    while (error && error->code == EADDRINUSE && std::chrono::steady_clock::now() < give_up) {
      std::this_thread::sleep_for(50ms);
      error = listener->open();
    }
    if (error) {
      std::string holder;
      for (const config::ListenAddress& address : child.listener->listen) {
        if (error->code == EADDRINUSE && address.text == error->subject) holder = net::holder_of(address);
      }
      log::Line(log::Level::error, child_path)
          .text(error->text())
          .text(holder.empty() ? "" : ", ")
          .text(holder)
          .write();
      return exit_status_of(*error);
    }
    for (const net::ListeningSocket& socket : listener->sockets()) {
      events_.publish("listener_bound", child_path, {{"address", socket.text}});
    }
  }
  return 0;
}

void Daemon::become_subreaper() {
  int is_set = 0;
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  prctl(PR_GET_CHILD_SUBREAPER, &is_set, 0, 0, 0);
  if (is_set == 1) return;
  log::Line(log::Level::error, "root").text("cannot become a child subreaper (prctl(2))").write();
  std::exit(kSystemError);
}

int Daemon::run() {
  become_subreaper();
  if (const auto error = workers_.find_program()) {
    log::Line(log::Level::error, "root").text(error->text()).write();
    return kSystemError;
  }
  if (const int status = open_listeners(config_.root, "root"); status != 0) return status;
  start();
  loop_.run();
  return status_;
}

void Daemon::start() {
  std::vector<net::Listener*> listeners;
  for (auto& [path, listener] : listeners_) listeners.push_back(listener.get());
  stop_.set_world(
      {std::move(listeners),
       [this] {
         workers_.abort_starts();
         apply(StopRequested{});
       },
       [this] { workers_.for_each([](process::WorkerProcess& worker) { sys::signal_process(worker.pid, SIGKILL); }); },
       [this](lifecycle::StopSequence::Phase phase) { on_phase(phase); }, [this] { finish(status_); }});
  signal_poll_ = std::make_unique<loop::Poll>(loop_, signals_.get(), [this] { on_signal(); });
  signal_poll_->start();
  tick_.start(1s, 1s);
  apply(Start{});
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
  announce_ready();
  arm_deadline();
}

void Daemon::carry_out(const Command& command) {
  struct Deeds {
    Daemon& daemon;
    void operator()(const StartChild& c) const { daemon.start_child(c); }
    void operator()(const StopChild& c) const { daemon.stop_child(c.node, c.run, false); }
    void operator()(const KillChild& c) const { daemon.stop_child(c.node, c.run, true); }
    void operator()(const Reply&) const {}
    void operator()(const Report& report) const {
      if (const auto* started = std::get_if<report::SupervisorStarted>(&report); started != nullptr) {
        const auto found = daemon.listeners_.find(started->path);
        if (found != daemon.listeners_.end()) found->second->announced = false;
      }
      daemon.narrator_.tell(report);
    }
    void operator()(const TreeTerminated& end) const { daemon.tree_terminated(end); }
  };
  std::visit(Deeds{*this}, command);
}

net::Listener* Daemon::listener_of(const std::string& worker_path) {
  const auto found = listeners_.find(parent_of(worker_path));
  return found == listeners_.end() ? nullptr : found->second.get();
}

void Daemon::start_child(const StartChild& command) {
  const auto view = tree_.node(command.node, now());
  if (!view) return;
  net::Listener* listener = listener_of(view->path);
  std::optional<sys::Error> error;
  if (listener == nullptr) {
    error = sys::Error{"start", view->path, ENOSYS};
  } else {
    const config::Node& node = *nodes_.at(listener->path());
    const auto deadline = node.start_timeout ? std::optional(now() + *node.start_timeout) : std::nullopt;
    const auto index = static_cast<std::uint32_t>(std::strtoul(view->spec->id.c_str(), nullptr, 10));
    error = workers_.start(command.node, command.run, view->path, *listener, index, deadline);
  }
  if (error) {
    narrator_.start_failed(view->path, *error);
    apply(StartFailed{command.node, command.run});
    return;
  }
  narrator_.started(command.run, view->path, workers_.find(command.run)->pid);
}

void Daemon::stop_child(NodeId, RunId run, bool kill) {
  if (kill) {
    workers_.kill(run);
  } else {
    workers_.stop(run);
  }
}

void Daemon::tree_terminated(const TreeTerminated& end) {
  if (end.cause == Cause::intensity || end.cause == Cause::start_failed) {
    status_ = kGaveUp;
    narrator_.gave_up(end);
  }
  stop_.tree_gone();
}

void Daemon::arm_deadline() {
  auto next = tree_.next_deadline();
  if (const auto start = workers_.next_deadline(); start && (!next || *start < *next)) next = start;
  if (next) {
    deadline_.start(std::max(*next - now(), Duration(0)));
  } else {
    deadline_.stop();
  }
}

void Daemon::on_deadline() {
  workers_.on_deadline(now());
  apply(DeadlineReached{});
}

void Daemon::on_signal() {
  signalfd_siginfo news{};
  bool children = false;
  while (::read(signals_.get(), &news, sizeof news) == static_cast<ssize_t>(sizeof news)) {
    switch (news.ssi_signo) {
      case SIGCHLD: children = true; break;
      case SIGTERM:
      case SIGQUIT: stop_.graceful(); break;
      case SIGINT: stop_.fast(); break;
      case SIGHUP:
      case SIGUSR1: reopen_log(); break;
      default: break;
    }
  }
  if (children) reap();
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
    int status = 0;
    if (waitpid(pid, &status, 0) != pid) return;
    if (workers_.knows(pid)) {
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
  std::string remark = worker.failure;
  if (adopted != 0) {
    remark += fmt::format("{}its {} connections go on without it", remark.empty() ? "" : "; ", adopted);
  }
  using State = process::WorkerProcess::State;
  const bool expected = worker.retiring || worker.state == State::leaving;
  narrator_.ended(worker.run, worker.path, status, expected, remark);
  if (adopted != 0) {
    events_.publish("children_adopted", listener.path(), {{"from", worker.path}, {"count", adopted}});
  }
  // What it was woken for, or waited for, is the others' now.
  ipc::Message kick;
  kick.type = ipc::MessageType::kick;
  workers_.send(listener, kick);
  if (worker.state == State::starting) {
    apply(StartFailed{worker.node, worker.run});
  } else {
    apply(ChildExited{worker.node, worker.run, worker.retiring ? ExitReason::retired : ExitReason::abnormal});
  }
}

void Daemon::on_worker_ready(process::WorkerProcess& worker) {
  stop_.worker_ready(worker);
  apply(ChildReady{worker.node, worker.run});
}

void Daemon::on_worker_news(process::WorkerProcess& worker, const ipc::Message& message) {
  const std::string& path = worker.listener->path();
  char hex[17];
  switch (message.type) {
    case ipc::MessageType::crash:
      events_.publish(
          "connection_crashed", path,
          {{"id", ipc::hex_text(ipc::connection_id(message.use, worker.listener->number(), message.slot), hex)},
           {"pid", message.pid}});
      break;
    case ipc::MessageType::paused: {
      static constexpr const char* kReasons[] = {"unknown", "max_connections", "accept_error", "fork_error"};
      const char* reason = kReasons[message.reason < std::size(kReasons) ? message.reason : 0];
      events_.publish("accept_paused", path, {{"reason", reason}, {"errno", message.error}, {"worker", worker.path}});
      break;
    }
    case ipc::MessageType::resumed: events_.publish("accept_resumed", path, {{"worker", worker.path}}); break;
    default: break;
  }
}

void Daemon::announce_listener(net::Listener& listener) {
  listener.announced = true;
  for (const net::ListeningSocket& socket : listener.sockets()) {
    log::Line line(log::Level::info, listener.path());
    if (socket.local.family == AF_UNIX) {
      line.text("Serving requests on ").text(socket.text);
    } else {
      line.text("Serving requests on port ").number(socket.local.port);
    }
    line.field("address", socket.text).write();
  }
}

// A listener serves when its supervisor has started all its workers; the daemon is ready when the root has.
void Daemon::announce_ready() {
  const auto running = [this](const std::string& path) {
    const auto id = tree_.find(path);
    const auto view = id ? tree_.node(*id, now()) : std::nullopt;
    return view && view->state == NodeState::running;
  };
  for (auto& [path, listener] : listeners_) {
    if (!listener->announced && listener->is_open() && running(path)) announce_listener(*listener);
  }
  if (ready_ || !running("root")) return;
  ready_ = true;
  if (options_.ready_fd < 0) return;
  nlohmann::ordered_json line{{"pid", getpid()}, {"endpoints", nlohmann::ordered_json::array()}};
  for (auto& [path, listener] : listeners_) {
    for (const net::ListeningSocket& socket : listener->sockets()) {
      line["endpoints"].push_back({{"path", path}, {"listen", socket.address.text}, {"address", socket.text}});
    }
  }
  const std::string text = line.dump() + "\n";
  (void)!::write(options_.ready_fd, text.data(), text.size());
  ::close(std::exchange(options_.ready_fd, -1));
}

void Daemon::on_phase(lifecycle::StopSequence::Phase phase) {
  using Phase = lifecycle::StopSequence::Phase;
  std::uint32_t connections = 0;
  for (auto& [path, listener] : listeners_) connections += listener->table().counts().serving;
  log::Line line(log::Level::info, "root");
  switch (phase) {
    case Phase::closing:
      line.text("stopping: no new connections, ").number(connections).text(" go on until they end").write();
      events_.publish("drain_started", "root");
      break;
    case Phase::terminating: line.text("stopping: ending ").number(connections).text(" connections").write(); break;
    case Phase::stopping_tree: events_.publish("drain_done", "root"); break;
    default: break;
  }
}

void Daemon::reopen_log() {
  auto target = lifecycle::open_log_target(config_.log.target);
  if (!target) {
    log::Line(log::Level::error, "log").text("goes on in the old file: ").text(target.error().text()).write();
    return;
  }
  log_ = std::move(*target);
  log::set_fd(log_.lines.get());
  workers_.replace_log(log_.lines.get(), log_.handlers.get());
  log::Line(log::Level::info, "log").text("opened again").write();
}

void Daemon::finish(int status) {
  status_ = status;
  log::Line(log::Level::info, "root").text("stopped").field("status", status).write();
  loop_.stop();
}

}  // namespace bulkhead
