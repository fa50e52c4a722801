// The post_stop of a process: a command that runs after every end, whatever the end was, in a group of its own. It
// belongs to the run of the process, which the tree takes for one that is ending until the command has ended too. Its
// failure has no consequence but a warning. What it leaves behind is killed at once; only kill_all() cuts it short.
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <utility>

#include "master/journal/exit_text.h"
#include "master/process/child_environment.h"
#include "master/process/credentials.h"
#include "master/process/process_launch.h"
#include "master/process/processes.h"
#include "master/process/run_result.h"
#include "worker/log/log.h"

namespace bulkhead::process {

namespace {

// Even if the start may take for ever: a stop, and that of the daemon, wait for the command.
constexpr std::chrono::minutes kPostStopAtMost{5};

RunEnd run_end_of(const ProcessChild& child, const ChildEnd& end) {
  const bool has_deadline = child.shutdown.kind == supervision::Shutdown::Kind::timeout;
  return {.wait_status = end.wait_status,
          .expected = end.expected,
          .asked = child.state == ProcessChild::State::leaving,
          .timed_out = child.timed_out || (has_deadline && child.group.hand_over().killed_at.has_value()),
          .watchdog = child.watchdog_expired};
}

void warn(const ProcessChild& child, std::string_view what, std::string_view detail) {
  log::Line(log::Level::warning, child.path).text("post_stop ").text(what).text(detail).write();
}

}  // namespace

bool Processes::begins_post_stop(ProcessChild& child, Instant now) {
  if (child.config.post_stop.empty() || child.ended || all_killed_) return false;
  const ChildEnd end = end_of(child, system_.status_of(child.pid));
  put_aside_output(child, now);
  child.output = std::make_unique<ChildOutput>(loop_, child.path, limits_of(child.config), child.log);
  auto pid = launch_post_stop(child, end);
  if (!pid) {
    warn(child, "not executed: ", pid.error().text());
    child.report.close();
    return false;
  }
  (void)system_.reap(child.pid, false);
  children_.replaced(child.run, *pid);
  ++post_stops_;
  child.ended = end;
  child.state = ProcessChild::State::leaving;
  child.group = {};
  child.scan = {};
  child.others_live = false;
  child.timed_out = false;
  child.failure.clear();
  child.start_deadline = now + child.start_timeout.value_or(kPostStopAtMost);
  log::Line(log::Level::info, child.path).text("running its post_stop").field("pid", *pid).write();
  return true;
}

sys::Result<pid_t> Processes::launch_post_stop(ProcessChild& child, const ChildEnd& end) {
  auto report = make_pipe("for the report of a post_stop");
  if (!report) return report.error();
  config::Process command = child.config;
  command.child = with_credentials(child.path, command.child);
  Variables variables = command_environment(command, ::getenv);
  for (auto& [name, value] : result_variables(run_end_of(child, end))) variables[name] = std::move(value);
  command.argv = child.config.post_stop;
  command.arg0.clear();
  command.ready = config::Ready::fork;
  auto launch = prepare_launch(command, lines_of(variables));
  if (!launch) return launch.error();
  if (auto error = place_output(child, *launch)) return *error;
  launch->request.report = report->write.get();
  auto watched = WatchedFd::attempt(loop_, std::move(report->read), [this, &child] { read_report(child); });
  if (!watched) return watched.error();
  child.report = std::move(*watched);
  return system_.begin(launch->request);
}

void Processes::post_stop_ended(ProcessChild& child, Instant now) {
  child.start_deadline.reset();
  child.output->read_rest();
  const int status = system_.status_of(child.pid);
  read_report(child);
  child.report.close();
  if (!child.failure.empty()) {
    warn(child, "", child.failure);
  } else if (child.timed_out) {
    warn(child, "did not end in time", "");
  } else if (status != 0) {
    warn(child, "", journal::exit_text(status));
  }
  child.next_scan = now;
  child.ended_at = now;
  (void)child.group.leader_ended({config::KillMode::mixed, child.shutdown}, now);
  (void)system_.signal(child.pid, SIGKILL, true);
}

}  // namespace bulkhead::process
