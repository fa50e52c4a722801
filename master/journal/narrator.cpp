#include "master/journal/narrator.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "master/journal/exit_text.h"
#include "master/supervision/words.h"
#include "worker/ipc/connection_log.h"
#include "worker/log/log.h"
#include "worker/sys/signal.h"
#include "worker/sys/signal_name.h"

namespace bulkhead::journal {

namespace {

using nlohmann::ordered_json;
using namespace supervision;

ordered_json reason_of(int wait_status) {
  if (WIFSIGNALED(wait_status)) {
    return {{"type", "signal"},
            {"signal", sys::signal_name(WTERMSIG(wait_status))},
            {"core", bool(WCOREDUMP(wait_status))}};
  }
  return {{"type", "exit"}, {"status", WEXITSTATUS(wait_status)}};
}

std::int64_t milliseconds(Duration span) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(span).count();
}

std::string_view lost_text(net::Fault fault) {
  return fault == net::Fault::unreachable ? " has lost its file" : " was shut down by another process";
}

}  // namespace

void Narrator::started(RunId run, const std::string& path, pid_t pid, int stop_signal) {
  runs_[run].pid = pid;
  runs_[run].stop_signal = stop_signal;
  log::Line(log::Level::debug, path).text("started").field("pid", pid).write();
  events_.publish("child_started", path, {{"pid", pid}});
}

void Narrator::start_failed(const std::string& path, const sys::Error& error) {
  log::Line(log::Level::error, path).text("cannot start: ").text(error.text()).write();
  events_.publish("fork_failed", path, {{"errno", error.code}});
}

void Narrator::stop_signal_is(RunId run, int stop_signal) {
  if (const auto found = runs_.find(run); found != runs_.end()) found->second.stop_signal = stop_signal;
}

void Narrator::stopping(RunId run, const std::string& path, bool kill) {
  const Run& record = runs_[run];
  events_.publish("child_stopping", path,
                  {{"pid", record.pid}, {"how", sys::signal_name(kill ? SIGKILL : record.stop_signal)}});
}

void Narrator::ended(RunId run, const std::string& path, int wait_status, bool expected, bool asked,
                     const std::string& remark) {
  Run& record = runs_[run];
  record.ended = true;
  record.asked = asked;
  record.wait_status = wait_status;
  record.remark = remark;
  log::Line line(expected ? log::Level::info : log::Level::warning, path);
  line.text(exit_text(wait_status));
  if (!remark.empty()) line.text("; ").text(remark);
  line.field("pid", record.pid).write();
  ordered_json members = {{"pid", record.pid}, {"reason", reason_of(wait_status)}, {"asked", asked}};
  if (!remark.empty()) members["remark"] = remark;
  events_.publish("child_exited", path, std::move(members));
}

struct Narrator::Teller {
  EventRing& events;
  Narrator& narrator;

  void operator()(const report::SupervisorStarted& r) const { events.publish("supervisor_started", r.path); }
  void operator()(const report::SupervisorTerminated& r) const {
    const char* reason = r.cause == Cause::start_failed ? "start_failed" : "shutdown";
    events.publish("supervisor_terminated", r.path, {{"reason", reason}, {"cause", kCauseWords.text(r.cause)}});
  }
  void operator()(const report::ChildStarted&) const {}  // started() reports it, with the pid
  void operator()(const report::ChildReady& r) const {
    const pid_t pid = narrator.runs_[r.run].pid;
    log::Line(log::Level::info, r.path).text("ready").field("pid", pid).write();
    events.publish("child_ready", r.path, {{"pid", pid}});
  }
  void operator()(const report::StartFailed& r) const { narrator.runs_.erase(r.run); }
  void operator()(const report::ChildStopping& r) const { narrator.stopping(r.run, r.path, r.kill); }
  void operator()(const report::ChildExited& r) const { narrator.runs_.erase(r.run); }
  void operator()(const report::ChildRestarting& r) const {
    log::Line line(log::Level::info, r.path);
    if (r.delay.count() == 0) {
      line.text("restarting at once");
    } else {
      line.text("restarting in ").seconds(r.delay.count());
    }
    line.field("restarts_in_window", r.restarts_in_window).write();
    events.publish("child_restarting", r.path,
                   {{"delay_ms", milliseconds(r.delay)}, {"restarts_in_window", r.restarts_in_window}});
  }
  void operator()(const report::RestartPostponed& r) const {
    log::Line(log::Level::info, r.path).text("trying again in ").seconds(r.delay.count()).write();
  }
  void operator()(const report::ChildRemoved& r) const { events.publish("child_removed", r.path); }
  void operator()(const report::IntensityExceeded& r) const {
    const double max_seconds = std::chrono::duration<double>(r.max_seconds).count();
    log::Line(log::Level::error, r.path).text(exceeded_text(r.child, r.max_restarts, max_seconds)).write();
    events.publish("intensity_exceeded", r.path,
                   {{"child", r.child}, {"max_restarts", r.max_restarts}, {"max_seconds", max_seconds}});
  }
};

void Narrator::tell(const Report& report) {
  std::visit(Teller{events_, *this}, report);
}

std::vector<RunHandover> Narrator::hand_over() const {
  std::vector<RunHandover> out;
  for (const auto& [run, record] : runs_) {
    out.push_back({run, record.pid, record.stop_signal, record.asked, record.ended, record.wait_status, record.remark});
  }
  return out;
}

void Narrator::resume(const std::vector<RunHandover>& from) {
  for (const RunHandover& one : from)
    runs_[one.run] = {one.pid, one.stop_signal, one.asked, one.ended, one.wait_status, one.remark};
}

void Narrator::gave_up(Cause cause, const std::vector<std::string>& chain) {
  log::Line line(log::Level::error, "root");
  line.text(cause == Cause::start_failed ? "could not start: " : "gave up: ");
  bool first = true;
  for (const std::string& sentence : chain) {
    if (!first) line.text("; ");
    line.text(sentence);
    first = false;
  }
  line.write();
}

void Narrator::on_the_way_down(const std::string& path, net::EndPhase phase, config::Duration lame_duck,
                               std::optional<std::uint32_t> connections) {
  using Phase = net::EndPhase;
  log::Line line(log::Level::info, path);
  if ((phase == Phase::lame_duck || phase == Phase::closing) && draining_.insert(path).second) {
    events_.publish("drain_started", path);
  }
  switch (phase) {
    case Phase::lame_duck:
      line.text("lame duck: still accepting connections").field_seconds("for", lame_duck.count());
      break;
    case Phase::closing: line.text("shutting down: existing connections continue until they end"); break;
    case Phase::terminating: line.text("ending the remaining connections"); break;
    case Phase::leaving: line.text("leaving: existing connections continue without the daemon"); break;
    case Phase::stopping_tree:
      if (draining_.erase(path) != 0) events_.publish("drain_done", path);  // a fast stop has none
      return;
    default: return;
  }
  if (connections) line.field("connections", *connections);
  line.write();
}

void Narrator::drain_continues(const std::string& path) {
  draining_.insert(path);
}

void Narrator::drain_called_off(const std::string& path) {
  draining_.erase(path);
  events_.publish("drain_done", path, {{"called_off", true}});
  log::Line(log::Level::info, path).text("drain called off: accepting connections as before").write();
}

void Narrator::abandoned(const std::string& listener) {
  log::Line(log::Level::warning, listener)
      .text("port closed: the listener will not be restarted; its existing connections continue")
      .write();
}

void Narrator::bound(const net::Listener& listener) {
  for (const net::ListeningSocket& socket : listener.sockets()) {
    events_.publish("listener_bound", listener.path(), {{"address", socket.text}});
  }
}

void Narrator::serving(const net::Listener& listener) {
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

void Narrator::set_suspended(const std::string& listener, bool on) {
  events_.publish(on ? "listener_suspended" : "listener_resumed", listener);
  log::Line(log::Level::info, listener).text(on ? "suspended: new clients wait in the queue" : "resumed").write();
}

void Narrator::socket_repaired(const std::string& listener, const std::string& address, net::Fault fault) {
  log::Line(log::Level::warning, listener).text(address).text(lost_text(fault)).text(": listening there again").write();
  events_.publish("listener_bound", listener, {{"address", address}});
}

void Narrator::socket_lost(const std::string& listener, const std::string& address, net::Fault fault,
                           const sys::Error& error) {
  log::Line line(log::Level::error, listener);
  line.text(address).text(lost_text(fault)).text(", and cannot be bound again: ").text(error.text());
  line.text("; trying again").write();
  events_.publish("accept_paused", listener,
                  {{"reason", ipc::kPauseWords.text(ipc::PauseReason::socket)}, {"errno", error.code}});
}

void Narrator::accept_paused(const std::string& listener, const std::string& worker, ipc::PauseReason reason,
                             int error) {
  events_.publish("accept_paused", listener,
                  {{"reason", ipc::kPauseWords.text(reason)}, {"errno", error}, {"worker", worker}});
}

void Narrator::worker_recycled(const std::string& worker, pid_t pid, const std::string& why) {
  log::Line(log::Level::info, worker).text(why).text(": replacing this worker").field("pid", pid).write();
  events_.publish("worker_recycled", worker, {{"pid", pid}, {"reason", why}});
}

void Narrator::accept_resumed(const std::string& listener, const std::string& worker) {
  events_.publish("accept_resumed", listener, {{"worker", worker}});
}

void Narrator::adopted(const std::string& listener, const std::string& worker, std::uint32_t count) {
  events_.publish("children_adopted", listener, {{"from", worker}, {"count", count}});
}

void Narrator::connection_failed(const std::string& listener, std::uint64_t id, pid_t pid, bool client_gone) {
  char hex[17];
  events_.publish(client_gone ? "connection_client_gone" : "connection_crashed", listener,
                  {{"id", ipc::hex_text(id, hex)}, {"pid", pid}});
}

void Narrator::worker_hung(const std::string& worker, pid_t pid) {
  log::Line(log::Level::error, worker)
      .text("does not answer: killed; its connections continue")
      .field("pid", pid)
      .write();
  events_.publish("watchdog_expired", worker);
}

void Narrator::watchdog_expired(const std::string& path) {
  events_.publish("watchdog_expired", path);
}

}  // namespace bulkhead::journal
