#include "master/daemon.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <utility>

#include "master/config/tree_of_config.h"
#include "master/host/clock.h"
#include "master/procedure/signals.h"
#include "master/procedure/startup.h"
#include "worker/log/log.h"
#include "worker/sys/signal.h"

namespace bulkhead {

namespace {

using namespace std::chrono_literals;
using namespace supervision;
using Phase = procedure::StopSequence::Phase;

}  // namespace

Daemon::Daemon(config::Config config, std::string effective, DaemonOptions options, host::LogTarget log)
    : options_(std::move(options)),
      started_(now()),
      keeps_lines_(lines_),
      failures_(events_, lines_),
      narrator_(events_),
      later_(loop_),
      catalogue_(std::move(config), std::move(effective)),
      listeners_(options_.inherited),
      engine_(config::tree_of_config(catalogue_.config().root), static_cast<std::uint64_t>(getpid()), now, *this),
      children_(loop_, system_, listeners_, narrator_,
                {catalogue_.config().log, catalogue_.generation(), log.handlers.get()}, children_observer()),
      runs_(children_, catalogue_.config().control.socket),
      services_(loop_, listeners_),
      log_(std::move(log), children_),
      sockets_(listeners_, children_, narrator_, now),
      room_(listeners_, children_,
            {[this](const ipc::Slot& slot) { return system_.look_at(slot); }, procedure::clients_in_queue}),
      places_(loop_, listeners_, now),
      endings_(
          loop_, engine_, listeners_, children_, narrator_, [this] { return stop_times(); }, now),
      operations_(engine_, catalogue_, listeners_, endings_, narrator_),
      scaling_(engine_, catalogue_, listeners_, later_),
      readiness_(engine_, listeners_, narrator_, options_.ready_fd, [this] { on_ready(); }),
      shutdown_(loop_, engine_, listeners_, children_, narrator_, stop_times(),
                {[this](Phase phase) { on_phase(phase); }, [this] { finish(); }}, now),
      reload_(loop_, {engine_, catalogue_, listeners_, children_, later_, operations_, scaling_, log_}, events_,
              services_.manager(), reload_surroundings()),
      upgrade_(loop_,
               {engine_, catalogue_, listeners_, children_, later_, endings_, operations_, readiness_, log_, services_,
                reload_, events_, narrator_, options_.inherited, options_.pid_file, started_},
               upgrade_surroundings()),
      methods_({loop_,       engine_,   catalogue_,       listeners_, children_, later_,   endings_, readiness_,
                operations_, scaling_,  shutdown_,        log_,       reload_,   upgrade_, places_,  events_,
                lines_,      failures_, options_.version, started_}),
      server_(loop_, events_, lines_, methods_, now),
      signals_(sys::open_signal_fd({SIGCHLD})),
      signal_poll_(loop_, signals_.get(), [this] { on_signal(); }),
      deadline_(loop_, [this] { on_deadline(); }),
      room_timer_(loop_, [this] { make_room(); }),
      tick_(loop_, [this] { tick(); }) {
  scaling_.on_idle([this] { reload_.go_on(); });
  watch_listeners();
}

void Daemon::watch_listeners() {
  listeners_.on_made([this](net::Listener& listener) { places_.made(listener); });
  listeners_.on_bound([this](const net::Listener& listener) { narrator_.bound(listener); });
  listeners_.on_forgotten([this](net::Listener& listener) {
    shutdown_.forget(listener);
    endings_.forget(listener);
    sockets_.forget(listener);
    room_.forget(listener);
    places_.forget(listener);
  });
}

running::Children::Observer Daemon::children_observer() {
  return {[this](Event event) { engine_.apply(std::move(event)); },
          [this](process::WorkerProcess& worker) {
            shutdown_.worker_ready(worker);
            endings_.worker_ready(worker);
          },
          [this](net::Listener& listener) {
            shutdown_.worker_gone(listener);
            endings_.worker_gone(listener);
          },
          [this](pid_t pid) { return upgrade_.knows(pid); },
          [this](pid_t, int wait_status) { upgrade_.reaped(wait_status); },
          [this](net::Listener& listener) { sockets_.look_at(listener); },
          [this](net::Listener&) { make_room(); },
          [this](net::Listener& listener) { places_.wanted(listener); }};
}

procedure::StopSequence::Times Daemon::stop_times() const {
  const config::Config& config = catalogue_.config();
  return {config.drain_timeout, config.lame_duck, config.close_spread};
}

reload::Reload::Surroundings Daemon::reload_surroundings() {
  reload::Reload::Surroundings out{
      [this] { return readiness_.is_ready() && !upgrade_.under_way() && scaling_.is_idle(); }, options_.overrule,
      [this] {
        shutdown_.set_times(stop_times());
        sockets_.look_again();
        server_.look_again();
        places_.use(catalogue_.config());
      },
      [this] { what_is_under_way_changed(); }, options_.overridden};
  out.why_not_started = [this](const std::string& path, std::uint64_t since) {
    return failures_.why(path, since).text();
  };
  return out;
}

upgrade::Upgrade::Surroundings Daemon::upgrade_surroundings() {
  return {options_.version,
          options_.arguments,
          options_.program,
          [this] { return shutdown_.is_stopping(); },
          [this] { return server_.hand_over(); },
          [this] { return server_.is_answering(); },
          [this] { what_is_under_way_changed(); }};
}

void Daemon::start(const NodeView& child, const NodeView& parent, RunId run) {
  const bool worker = child.spec->type == NodeType::worker;
  children_.start(child, parent, run, *catalogue_.at(worker ? parent.spec->tag : child.spec->tag));
}

void Daemon::told(const Report& report) {
  catalogue_.overrides().told(report);
  // A supervisor that was asked to end, for instance in a restart of its siblings, keeps its ports.
  if (const auto* ended = std::get_if<report::SupervisorTerminated>(&report);
      ended != nullptr && (ended->cause == Cause::intensity || ended->cause == Cause::start_failed)) {
    endings_.gave_up(ended->path);
  }
  if (const auto* removed = std::get_if<report::ChildRemoved>(&report)) lines_.gone(removed->path);
  if (const auto* started = std::get_if<report::SupervisorStarted>(&report)) readiness_.started(started->path);
  const auto* stopping = std::get_if<report::ChildStopping>(&report);
  if (stopping == nullptr || children_.announce_end(stopping->run)) narrator_.tell(report);
}

// The end of process 1 ends all other processes of its namespace, so nothing would continue.
void Daemon::ending(const TreeEnding& end) {
  const bool leave = catalogue_.config().on_give_up == config::OnGiveUp::leave && getpid() != 1;
  shutdown_.tree_ending(end, readiness_.is_ready(), {leave, services_.manager().listens()});
}

void Daemon::settled() {
  endings_.close_abandoned();
  runs_.keep();
  readiness_.look();
  arm_deadline();
}

// Opened before the ports, to distinguish a daemon that already runs from another program that holds one of the ports.
int Daemon::open_control() {
  const auto error = server_.open(catalogue_.config().control);
  if (!error) return 0;
  const bool running = error->code == EADDRINUSE;
  log::Line(log::Level::error, "root")
      .text(running ? "another instance is running: " : "cannot open the control socket: ")
      .text(error->text())
      .write();
  return running ? kAlreadyRunning : procedure::exit_status_of(*error);
}

int Daemon::run() {
  procedure::warn_of_oom_group();
  auto error = procedure::become_subreaper();
  if (!error) error = children_.find_programs();
  if (error) {
    log::Line(log::Level::error, "root").text(error->text()).write();
    return kSystemError;
  }
  if (const int status = open_control(); status != 0) return status;
  places_.use(catalogue_.config());
  const config::Node& root = catalogue_.config().root;
  if (const int status = procedure::open_listeners(listeners_, root, options_.inherited, services_.manager())) {
    return status;
  }
  services_.store_sockets(shutdown_.phase());
  runs_.clear_up_after_former_life();
  turn();
  loop_.run();
  children_.take_back_all();
  return shutdown_.status();
}

std::string Daemon::resume(upgrade::Handover& from, const std::string& rolled_back) {
  auto error = procedure::become_subreaper();
  if (!error && rolled_back.empty()) error = children_.find_programs();
  if (error) return error->text();
  if (std::string problem = upgrade_.resume(from, rolled_back); !problem.empty()) return problem;
  for (control::Unanswered& call : server_.resume(catalogue_.config().control, from.control)) {
    if (call.method == "upgrade") {
      upgrade_.await(control::Methods::answer_to_upgrade(std::move(call.reply)));
    } else {
      unanswered_.push_back(std::move(call));
    }
  }
  return "";
}

int Daemon::run_on() {
  runs_.resume();
  places_.use(catalogue_.config());
  turn();
  services_.store_sockets(shutdown_.phase());
  upgrade_.resumed();
  for (control::Unanswered& call : std::exchange(unanswered_, {})) methods_.call_again(std::move(call));
  operations_.go_on();
  children_.reap();
  loop_.run();
  children_.take_back_all();
  return shutdown_.status();
}

void Daemon::turn() {
  signal_poll_.start();
  what_is_under_way_changed();
  tick_.start(1s, 1s);
  places_.tick([this] { return runs_.earlier_connections(); });
  services_.start();
  engine_.apply(Start{});
}

void Daemon::on_ready() {
  what_is_under_way_changed();
  services_.manager().ready();
  services_.report(shutdown_.phase());
  options_.on_ready();
}

// The set of signals that are read depends on it, and waiting requests may begin.
void Daemon::what_is_under_way_changed() {
  sys::choose_signals(signals_.get(), procedure::readable_signals({readiness_.is_ready(), reload_.under_way(),
                                                                   upgrade_.under_way(), shutdown_.is_stopping()}));
  store_sockets();
  if (replaces_workers()) scaling_.hold();
  later_([this] {
    upgrade_.go_on();
    reload_.go_on();
    if (!replaces_workers()) scaling_.release();
  });
}

// A daemon that exits while its connections continue does not take its sockets back from the service manager either.
void Daemon::store_sockets() {
  if (!shutdown_.leaves()) services_.store_sockets(shutdown_.phase());
}

void Daemon::on_signal() {
  signalfd_siginfo news{};
  bool children = false;
  while (::read(signals_.get(), &news, sizeof news) == static_cast<ssize_t>(sizeof news)) {
    const int signal = static_cast<int>(news.ssi_signo);
    children = children || signal == SIGCHLD;
    obey(signal);
  }
  if (!children) return;
  children_.reap();
  arm_deadline();  // a group that outlives its leader has one, and the tree does not know
}

void Daemon::obey(int signal) {
  const config::Log& log = catalogue_.config().log;
  switch (signal) {
    case SIGTERM: return shutdown_.graceful(readiness_.is_ready());
    case SIGQUIT: return shutdown_.without_lame_duck();
    case SIGINT: return shutdown_.fast();
    case SIGHUP: (void)log_.reopen(log); return reload_.begin([](const reload::Reload::Result&) {});
    case SIGUSR1: return (void)log_.reopen(log);
    case SIGUSR2: return upgrade_.begin([](const upgrade::Upgrade::Result&) {});
    case SIGWINCH:
    case SIGTTIN:
    case SIGTTOU:
      return procedure::obey_terminal_signal(signal, shutdown_.is_stopping(), listeners_, operations_, scaling_);
    default: break;
  }
}

void Daemon::tick() {
  children_.tick();
  arm_deadline();
  runs_.tick();
  places_.tick([this] { return runs_.earlier_connections(); });
  if (!shutdown_.is_stopping()) sockets_.look();
  make_room();
  server_.look();
  store_sockets();
  services_.report(shutdown_.phase());
}

void Daemon::make_room() {
  if (shutdown_.is_stopping()) return;
  if (const auto again = room_.turn()) room_timer_.start(*again);
}

void Daemon::arm_deadline() {
  auto next = engine_.next_deadline();
  const auto other = children_.next_deadline();
  if (other && (!next || *other < *next)) next = other;
  if (next) {
    deadline_.start(std::max(*next - now(), Duration(0)));
  } else {
    deadline_.stop();
  }
}

void Daemon::on_deadline() {
  children_.on_deadline();
  engine_.apply(DeadlineReached{});
}

void Daemon::on_phase(Phase phase) {
  reload_.daemon_stops();
  if (phase != Phase::done) services_.manager().stopping();
  upgrade_.daemon_stops();
  what_is_under_way_changed();
  services_.report(phase);
  options_.inherited.forget();
}

void Daemon::finish() {
  children_.finish_output();
  runs_.end();
  server_.close();
  log::Line(log::Level::info, "root").text("stopped").field("status", shutdown_.status()).write();
  loop_.stop();
}

}  // namespace bulkhead
