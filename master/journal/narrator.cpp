#include "master/journal/narrator.h"

#include <fmt/format.h>
#include <sys/wait.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "master/supervision/words.h"
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

}  // namespace

std::string exit_text(int wait_status) {
  if (WIFSIGNALED(wait_status)) {
    return fmt::format("was killed by {}{}", sys::signal_name(WTERMSIG(wait_status)),
                       WCOREDUMP(wait_status) ? " (core dumped)" : "");
  }
  return fmt::format("ended with exit status {}", WEXITSTATUS(wait_status));
}

std::string cause_text(int wait_status, const std::string& failure, bool was_ready) {
  if (!failure.empty()) return failure;
  return exit_text(wait_status) + (was_ready ? "" : " before it was ready");
}

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
  Run& record = runs_[run];
  record.asked = true;
  events_.publish("child_stopping", path,
                  {{"pid", record.pid}, {"how", sys::signal_name(kill ? SIGKILL : record.stop_signal)}});
}

bool Narrator::asked(RunId run) const {
  const auto found = runs_.find(run);
  return found != runs_.end() && found->second.asked;
}

void Narrator::ended(RunId run, const std::string& path, int wait_status, bool expected, const std::string& remark) {
  Run& record = runs_[run];
  record.ended = true;
  record.wait_status = wait_status;
  record.remark = remark;
  log::Line line(expected ? log::Level::info : log::Level::warning, path);
  line.text(exit_text(wait_status));
  if (!remark.empty()) line.text("; ").text(remark);
  line.field("pid", record.pid).write();
}

void Narrator::tell(const Report& report) {
  struct Teller {
    Narrator& narrator;
    EventRing& events;
    std::map<RunId, Run>& runs;

    void operator()(const report::SupervisorStarted& r) const { events.publish("supervisor_started", r.path); }
    void operator()(const report::SupervisorTerminated& r) const {
      const char* reason = r.cause == Cause::start_failed ? "start_failed" : "shutdown";
      events.publish("supervisor_terminated", r.path, {{"reason", reason}, {"cause", kCauseWords.text(r.cause)}});
    }
    void operator()(const report::ChildStarted&) const {}  // told by started(), which knows the pid
    void operator()(const report::ChildReady& r) const {
      log::Line(log::Level::info, r.path).text("is ready").field("pid", runs[r.run].pid).write();
      events.publish("child_ready", r.path, {{"pid", runs[r.run].pid}});
    }
    void operator()(const report::StartFailed& r) const {
      if (runs[r.run].ended) exited(r.path, r.run);
      runs.erase(r.run);
    }
    void operator()(const report::ChildStopping& r) const { narrator.stopping(r.run, r.path, r.kill); }
    void operator()(const report::ChildExited& r) const {
      exited(r.path, r.run);
      runs.erase(r.run);
    }
    void operator()(const report::ChildRestarting& r) const {
      log::Line line(log::Level::info, r.path);
      if (r.delay.count() == 0) {
        line.text("is being restarted");
      } else {
        line.text("is restarted in ").seconds(r.delay.count());
      }
      line.field("restarts_in_window", r.restarts_in_window).write();
      events.publish("child_restarting", r.path,
                     {{"delay_ms", milliseconds(r.delay)}, {"restarts_in_window", r.restarts_in_window}});
    }
    void operator()(const report::ChildRemoved& r) const { events.publish("child_removed", r.path); }
    void operator()(const report::IntensityExceeded& r) const {
      log::Line(log::Level::error, r.path)
          .text("gives up: ")
          .text(r.child)
          .text(" would have to be restarted more than max_restarts ")
          .number(r.max_restarts)
          .text(" times within max_seconds ")
          .number(std::chrono::duration_cast<std::chrono::seconds>(r.max_seconds).count())
          .write();
      events.publish("intensity_exceeded", r.path,
                     {{"child", r.child},
                      {"max_restarts", r.max_restarts},
                      {"max_seconds", std::chrono::duration<double>(r.max_seconds).count()}});
    }
    void exited(const std::string& path, RunId run) const {
      const Run& record = runs[run];
      ordered_json members = {{"pid", record.pid}, {"reason", reason_of(record.wait_status)}, {"asked", record.asked}};
      if (!record.remark.empty()) members["remark"] = record.remark;
      events.publish("child_exited", path, std::move(members));
    }
  };
  std::visit(Teller{*this, events_, runs_}, report);
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

void Narrator::gave_up(const TreeTerminated& end) {
  log::Line line(log::Level::error, "root");
  line.text(end.cause == Cause::start_failed ? "could not start: " : "gave up: ");
  bool first = true;
  for (const std::string& sentence : end.chain) {
    if (!first) line.text("; ");
    line.text(sentence);
    first = false;
  }
  line.write();
}

void Narrator::on_the_way_down(procedure::StopSequence::Phase phase, std::uint32_t connections,
                               config::Duration lame_duck) {
  using Phase = procedure::StopSequence::Phase;
  log::Line line(log::Level::info, "root");
  if ((phase == Phase::lame_duck || phase == Phase::closing) && !std::exchange(draining_, true)) {
    events_.publish("drain_started", "root");
  }
  switch (phase) {
    case Phase::lame_duck:
      line.text("stopping: newcomers are served for a while yet").field_seconds("for", lame_duck.count()).write();
      break;
    case Phase::closing:
      line.text("stopping: no new connections; those that there are go on until they end")
          .field("connections", connections)
          .write();
      break;
    case Phase::terminating:
      line.text("stopping: ending the connections").field("connections", connections).write();
      break;
    case Phase::stopping_tree:
      if (draining_) events_.publish("drain_done", "root");  // there is none on the fast way down
      break;
    default: break;
  }
}

}  // namespace bulkhead::journal
