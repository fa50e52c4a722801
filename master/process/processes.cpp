#include "master/process/processes.h"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <limits>
#include <utility>

#include "master/host/clock.h"
#include "master/process/credentials.h"
#include "master/process/exit_judgement.h"
#include "master/process/failure_text.h"
#include "master/process/notification.h"
#include "master/process/notify_socket.h"
#include "worker/ipc/channel.h"
#include "worker/sys/clock.h"
#include "worker/sys/shortage.h"
#include "worker/sys/signal.h"
#include "worker/sys/signal_name.h"

namespace bulkhead::process {

namespace {

using namespace std::chrono_literals;
using config::Ready;

constexpr int kNotificationsPerTurn = 512;  // what a socket's queue holds at most, as systemd has it
constexpr int kNotifyReadsPerTurn = 16;
constexpr auto kLate = 1s;  // a deadline noticed later than this means that the master was delayed, not the child
constexpr auto kScanAgain = 100ms;
constexpr auto kScanOn = 1ms;
constexpr int kScansAtEnd = 5;
constexpr auto kOutputPatience = 5s;  // where shutdown is "infinity"

supervision::Duration output_patience(const supervision::Shutdown& shutdown) {
  return shutdown.kind == supervision::Shutdown::Kind::infinity ? kOutputPatience : shutdown.timeout;
}

GroupEnd::Terms terms_of(const ProcessChild& child) {
  return {child.config.child.kill_mode, child.shutdown};
}

// A process that has a pre_start is not ready before it.
bool is_ready_by(const config::Process& process, Ready what) {
  const bool waits = process.ready == Ready::fork && !process.pre_start.empty();
  return !process.oneshot && (waits ? Ready::exec : process.ready) == what;
}

bool is_done(const ProcessChild& child, int wait_status) {
  return child.config.oneshot && judge_exit(wait_status, child.config.normal_exit,
                                            child.config.permanent_failure_exit) == supervision::ExitReason::normal;
}

std::optional<Instant> deadline_after(const config::Timeout& span) {
  return span ? std::optional(now() + *span) : std::nullopt;
}

bool has_mode(const ProcessChild& child, config::KillMode mode) {
  return child.config.child.kill_mode == mode;
}

void tell_rest_killed(const ProcessChild& child) {
  log::Line(log::Level::warning, child.path).text("killed the rest of its process group").write();
}

}  // namespace

Processes::Processes(loop::Loop& loop, ChildSystem& system, Observer observer)
    : loop_(loop), system_(system), observer_(std::move(observer)) {}

void Processes::kill_now(ProcessChild& child) {
  if (child.group.has_leader_ended() && !child.group.was_killed()) tell_rest_killed(child);
  child.group.killed(now());
  child.watch.killed(now());
  system_.signal(child.pid, SIGKILL, !has_mode(child, config::KillMode::process));
}

log::OutputBudget::Limits Processes::limits_of(const config::Process& config) {
  log::OutputBudget::Limits limits;
  limits.lines = config.child.log_rate_limit.value_or(std::numeric_limits<std::uint32_t>::max());
  return limits;
}

std::optional<sys::Error> Processes::start(NodeId node, RunId run, std::string path, const config::Process& config,
                                           const supervision::Shutdown& shutdown, config::Timeout start_timeout) {
  ProcessChild& child = children_.add(run);
  child.node = node;
  child.path = std::move(path);
  child.config = config;
  child.shutdown = shutdown;
  child.began = now();
  child.start_timeout = start_timeout;
  child.start_deadline = deadline_after(start_timeout);
  auto problem = open_log(child);
  child.output = std::make_unique<ChildOutput>(loop_, child.path, limits_of(config), child.log);
  auto pid = problem ? sys::Result<pid_t>(*problem) : launch(child);
  if (auto error = children_.forked(run, std::move(pid))) return error;
  if (is_ready_by(config, Ready::fork)) become_ready(child);
  return std::nullopt;
}

// A message reports a failure before exec; end of file without one means that exec has closed the other end.
void Processes::read_report(ProcessChild& child) {
  if (!child.report) return;
  const auto [got, failure] = ipc::read_failure(child.report.get());
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  child.report.close();
  if (child.ended) {
    if (failure) child.failure = failure_text(failure->stage, failure->error);
    return;
  }
  if (got == 0 && !child.config.pre_start.empty() && child.start_deadline) {
    child.start_deadline = deadline_after(child.start_timeout);  // the pre_start is over
  }
  if (got == 0 && is_ready_by(child.config, Ready::exec)) return become_ready(child);
  if (!failure) return;
  child.shortage = failure->stage != ipc::Stage::pre_start && sys::is_shortage(failure->error);
  child.failure = failure_text(failure->stage, failure->error);
}

void Processes::read_notify(ProcessChild& child) {
  if (!child.notify) return;
  if (child.config.ready == Ready::notify_fd) {
    read_notify_fd(child);
  } else {
    read_notify_socket(child);
  }
}

void Processes::read_notify_fd(ProcessChild& child) {
  char bytes[256];
  for (int i = 0; i < kNotifyReadsPerTurn; ++i) {
    const ssize_t got = ::read(child.notify.get(), bytes, sizeof bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
      child.closed_notify_fd = true;  // it may be dying: its end, or start_timeout, will show
      return child.notify.close();
    }
    if (std::memchr(bytes, '\n', static_cast<std::size_t>(got)) == nullptr) continue;
    child.notify.close();
    return become_ready(child);
  }
}

void Processes::read_notify_socket(ProcessChild& child) {
  for (int i = 0; i < kNotificationsPerTurn; ++i) {
    const ReceivedNotification received = receive_notification(child.notify.get(), child.pid);
    switch (received.kind) {
      case ReceivedNotification::Kind::nothing: return;
      case ReceivedNotification::Kind::message: on_notification(child, received.notification); break;
      case ReceivedNotification::Kind::stranger:
        if (!child.strangers.allow(sys::monotonic_ns())) break;
        log::Line(log::Level::warning, child.path)
            .text("ignored a notification from a process that is not one of its own")
            .field("sender", received.sender)
            .write();
        break;
    }
  }
}

void Processes::on_notification(ProcessChild& child, const Notification& news) {
  const bool changed = (news.status && *news.status != child.status) || (news.stopping && !child.stopping);
  if (news.status) child.status = *news.status;
  child.stopping = child.stopping || news.stopping;
  if (news.extend_timeout && child.start_deadline) {
    child.start_deadline = std::max(*child.start_deadline, now() + *news.extend_timeout);
  }
  if (news.watchdog && child.watchdog_deadline) child.watchdog_deadline = now() + *child.config.watchdog;
  if (news.ready) become_ready(child);
  if (changed && observer_.on_status) observer_.on_status(child);
}

void Processes::become_ready(ProcessChild& child) {
  if (child.state != ProcessChild::State::starting || !child.failure.empty()) return;
  child.state = ProcessChild::State::ready;
  child.start_deadline.reset();
  if (child.config.watchdog) child.watchdog_deadline = now() + *child.config.watchdog;
  observer_.on_ready(child);
}

void Processes::change(RunId run, const config::Process& config, const supervision::Shutdown& shutdown,
                       config::Timeout start_timeout) {
  ProcessChild* const child = children_.find(run);
  if (child == nullptr) return;
  child->shutdown = shutdown;
  child->config.normal_exit = config.normal_exit;
  child->config.permanent_failure_exit = config.permanent_failure_exit;
  child->start_timeout = start_timeout;
  child->config.post_stop = config.post_stop;
  child->config.stop_signal = config.stop_signal;
  child->config.reload_signal = config.reload_signal;
  change_log(*child, config.log);
  if (child->config.watchdog == config.watchdog) return;
  child->config.watchdog = config.watchdog;
  child->watchdog_deadline.reset();
  if (config.watchdog && child->state == ProcessChild::State::ready && !child->group.has_leader_ended())
    child->watchdog_deadline = now() + *config.watchdog;
}

void Processes::tell_to_reload(const std::function<bool(const std::string& path)>& concerns) {
  for (const auto& [run, child] : children_) {
    const int signal = child.config.reload_signal;
    const bool listens = child.state == ProcessChild::State::ready && !child.group.has_leader_ended();
    if (signal == 0 || !listens || !concerns(child.path)) continue;
    log::Line(log::Level::info, child.path)
        .text("sending its reload signal")
        .field("pid", child.pid)
        .field("signal", sys::signal_name(signal))
        .write();
    system_.signal(child.pid, signal, false);
  }
}

bool Processes::signal(RunId run, int signal) {
  const ProcessChild* const child = children_.find(run);
  if (child == nullptr || child->ended || child->group.has_leader_ended() || system_.has_ended(child->pid))
    return false;
  return system_.signal(child->pid, signal, false);
}

void Processes::stop(RunId run) {
  ProcessChild* const child = leave(run);
  if (child == nullptr) return;
  child->group.asked(terms_of(*child), now());
  system_.ask_to_end(child->pid, child->config.stop_signal, has_mode(*child, config::KillMode::group));
}

void Processes::kill(RunId run) {
  if (ProcessChild* child = leave(run)) kill_now(*child);
}

ProcessChild* Processes::leave(RunId run) {
  ProcessChild* const child = children_.find(run);
  if (child == nullptr || child->ended) return nullptr;
  if (!child->group.has_leader_ended()) child->state = ProcessChild::State::leaving;
  child->start_deadline.reset();
  child->watchdog_deadline.reset();
  return child;
}

void Processes::abort_starts(const std::function<void(RunId, const std::string&)>& tell) {
  for (auto& [run, child] : children_) {
    if (child.state != ProcessChild::State::starting || system_.has_ended(child.pid)) continue;
    tell(run, child.path);
    child.start_deadline.reset();
    child.failure = kStillStarting;
    kill_now(child);
  }
}

void Processes::kill_all() {
  all_killed_ = true;
  for (auto& [run, child] : children_) kill_now(child);
}

void Processes::on_deadline(Instant now) {
  for (auto& [run, child] : children_) {
    if (child.start_deadline && *child.start_deadline <= now) read_notify(child);
    if (child.start_deadline && *child.start_deadline <= now) expire_start(child);
    if (child.watchdog_deadline && *child.watchdog_deadline <= now) read_notify(child);
    if (child.watchdog_deadline && *child.watchdog_deadline <= now) expire_watchdog(child, now);
  }
  remains_.on_deadline(now);
}

void Processes::expire_start(ProcessChild& child) {
  child.start_deadline.reset();
  child.timed_out = true;
  if (child.ended) return kill_now(child);
  const bool prepares = child.report && !child.config.pre_start.empty();
  child.failure = prepares ? "its pre_start did not end within its start_timeout" : kNotReadyInTime;
  if (child.closed_notify_fd) child.failure += ", and closed its notification descriptor without a newline";
  kill_now(child);
}

void Processes::expire_watchdog(ProcessChild& child, Instant now) {
  if (now - *child.watchdog_deadline > kLate) {
    child.watchdog_deadline = now + *child.config.watchdog;
    return;
  }
  child.watchdog_deadline.reset();
  child.watchdog_expired = true;
  child.failure = "sent no WATCHDOG=1 within its watchdog time";
  observer_.on_watchdog_expired(child);
  kill_now(child);
}

std::optional<Instant> Processes::next_deadline() const {
  std::optional<Instant> next = remains_.next_deadline();
  for (const auto& [run, child] : children_) {
    const auto scan = child.group.has_leader_ended() ? std::optional(child.next_scan) : std::nullopt;
    for (const auto& deadline : {child.start_deadline, child.watchdog_deadline, child.group.next_deadline(), scan}) {
      if (deadline && (!next || *deadline < *next)) next = deadline;
    }
  }
  return next;
}

ChildEnd Processes::end_of(const ProcessChild& child, int wait_status) {
  ChildEnd end;
  end.node = child.node;
  end.run = child.run;
  end.path = child.path;
  end.wait_status = wait_status;
  end.start_failed = child.state == ProcessChild::State::starting;
  end.failure = child.failure;
  if (child.failure.empty()) {
    end.reason = judge_exit(wait_status, child.config.normal_exit, child.config.permanent_failure_exit);
  }
  end.reason = judge_start(end.start_failed, child.shortage, end.reason);
  end.expected = child.state == ProcessChild::State::leaving || end.reason == supervision::ExitReason::normal;
  return end;
}

std::optional<ChildEnd> Processes::leader_ended(pid_t pid) {
  ProcessChild& child = children_.of(pid);
  if (child.ended) {
    post_stop_ended(child, now());
    return std::nullopt;
  }
  read_report(child);
  read_notify(child);
  child.report.close();
  child.notify.close();
  child.output->read_rest();
  child.start_deadline.reset();
  child.watchdog_deadline.reset();
  const int status = system_.status_of(pid);
  if (is_done(child, status)) become_ready(child);
  const ChildEnd end = end_of(child, status);
  const Instant time = now();
  child.next_scan = time;
  child.ended_at = time;
  switch (child.group.leader_ended(terms_of(child), time)) {
    case GroupEnd::Action::ask: system_.ask_to_end(child.pid, SIGTERM, true); break;
    case GroupEnd::Action::kill: system_.signal(pid, SIGKILL, true); break;
    default: break;
  }
  return end;
}

bool Processes::has_exited_soon(pid_t pid) const {
  constexpr auto kSoon = 10s;
  const ProcessChild& child = children_.of(pid);
  const bool by_itself =
      !child.ended && !child.config.oneshot && child.state != ProcessChild::State::leaving && child.failure.empty();
  return by_itself && system_.status_of(pid) == 0 && now() - child.began < kSoon;
}

bool Processes::waits_for_group(pid_t pid) const {
  return children_.knows(pid) && children_.of(pid).group.has_leader_ended();
}

// The end of a child of ours wakes us; others have to be looked for again and again.
bool Processes::group_lives(ProcessChild& child, Instant now) {
  if (has_mode(child, config::KillMode::process)) return false;
  if (system_.has_living_child_in(child.pid)) {
    child.scan.restart();
    child.others_live = false;
    child.next_scan = now + kScanAgain;
    return true;
  }
  if (child.others_live && now < child.next_scan) return true;
  const std::optional<bool> lives = system_.scan_group(child.pid, child.scan);
  child.others_live = lives.value_or(false);
  child.next_scan = now + (lives ? kScanAgain : kScanOn);
  return lives.value_or(true);
}

// Looks at no more than a few thousand processes for one to name.
void Processes::tell_given_up(ProcessChild& child) {
  child.scan.restart();
  for (int i = 0; i < kScansAtEnd && !system_.scan_group(child.pid, child.scan); ++i) {
  }
  log::Line line(log::Level::error, child.path);
  line.text("could not end the rest of its process group");
  if (child.scan.member() != 0) line.text(": pid ").number(child.scan.member()).text(" did not end after SIGKILL");
  line.field("group", child.pid).write();
}

bool Processes::is_over(ProcessChild& child, Instant now) {
  const bool lives = group_lives(child, now);
  switch (child.group.look(lives, now)) {
    case GroupEnd::Action::over: return true;
    case GroupEnd::Action::give_up: tell_given_up(child); return true;
    case GroupEnd::Action::kill:
      tell_rest_killed(child);
      system_.signal(child.pid, SIGKILL, true);
      return false;
    case GroupEnd::Action::ask:
    case GroupEnd::Action::none: break;
  }
  if (child.ended_at && now >= *child.ended_at + kScanAgain) {
    child.ended_at.reset();
    log::Line(log::Level::info, child.path).text("waiting for the rest of its process group to end").write();
  }
  return false;
}

ChildEnd Processes::bury(ProcessChild& child, Instant now) {
  const auto ended = system_.reap(child.pid, false).value_or(sys::Ended{});
  ChildEnd end = child.ended ? *child.ended : end_of(child, ended.wait_status);
  put_aside_output(child, now);
  take_back(child.path, child.config.child);
  children_.drop(end.run);
  return end;
}

void Processes::put_aside_output(ProcessChild& child, Instant now) {
  child.output->read_rest();
  if (child.output->at_end()) {
    child.output->close();
  } else {
    remains_.add(child.path, now, now + output_patience(child.shutdown), std::move(child.output));
  }
}

std::vector<ChildEnd> Processes::take_over(Instant now) {
  std::vector<RunId> over;
  for (auto& [run, child] : children_) {
    if (child.group.has_leader_ended() && is_over(child, now)) over.push_back(run);
  }
  std::vector<ChildEnd> out;
  for (const RunId run : over) {
    ProcessChild& child = *children_.find(run);
    if (!begins_post_stop(child, now)) out.push_back(bury(child, now));
  }
  return out;
}

void Processes::for_each(const std::function<void(const ProcessChild&)>& visit) const {
  for (const auto& [run, child] : children_) visit(child);
}

void Processes::tick(Instant now) {
  for (auto& [run, child] : children_) {
    if (child.group.has_leader_ended() || system_.has_ended(child.pid) || !child.watch.is_due(now)) continue;
    log_unkillable(child.path, child.pid);
  }
}

void Processes::finish_output() {
  remains_.finish(1s);
}

bool Processes::has_ended(RunId run) const {
  const ProcessChild* const child = find(run);
  return child != nullptr && (child->ended || system_.has_ended(child->pid));
}

}  // namespace bulkhead::process
