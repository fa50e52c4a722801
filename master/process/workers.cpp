#include "master/process/workers.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "master/host/clock.h"
#include "master/process/credentials.h"
#include "master/process/failure_text.h"
#include "master/process/spawn.h"
#include "master/process/strays.h"
#include "master/process/worker_plan.h"
#include "master/supervision/path.h"
#include "worker/log/log.h"
#include "worker/sys/overloaded.h"
#include "worker/sys/shortage.h"
#include "worker/sys/signal.h"

namespace bulkhead::process {

namespace {

constexpr const char* kDoesNotLeave = "did not leave";
constexpr const char* kNoAnswer = "did not answer";

// Workers get nothing of the master's environment except the options of a sanitizer's runtime. Restartable sequences
// (rseq(2)), which the worker does not use, are off: the kernel writes to their area at every switch of process, and
// after a fork that is a page to copy, for the worker and for the child.
std::vector<std::string> worker_environment() {
  std::vector<std::string> out{"GLIBC_TUNABLES=glibc.pthread.rseq=0"};
  for (const char* name : {"ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"}) {
    if (const char* value = std::getenv(name); value != nullptr) out.push_back(fmt::format("{}={}", name, value));
  }
  return out;
}

// The text of a worker may be cut anywhere, or hold any bytes.
std::string failure_of(const ipc::Fail& message) {
  std::string text(message.text, strnlen(message.text, sizeof message.text));
  for (char& c : text) {
    if (c < ' ' || c > '~') c = '?';
  }
  return failure_text(message.stage, message.error, text);
}

void send_socket(const WorkerProcess& worker, const net::ListeningSocket& socket) {
  (void)ipc::send(worker.channel.get(), ipc::Socket{socket.number}, socket.fd.get());
}

// The only user whose processes a signal to the worker's connections may reach. Nothing: any user's, because the worker
// runs as root, or only our own, by the kernel's rules.
std::optional<std::uint32_t> user_of(const config::Listener& listener) {
  const auto& identity = listener.child.identity;
  if (geteuid() != 0 || !identity || identity->uid == 0) return std::nullopt;
  return identity->uid;
}

SpawnRequest request_of(int program, const net::Listener& listener, std::vector<Placement> given) {
  SpawnRequest request;
  request.program = program;
  request.argv = {starting_title()};
  request.environment = worker_environment();
  request.report = ipc::kChannelFd;
  request.raised_descriptor_limit = needs_raised_limit(listener.config());
  request.descriptors = std::move(given);
  int next = ipc::kFirstSocketFd;
  for (const net::ListeningSocket& socket : listener.sockets())
    request.descriptors.push_back({socket.fd.get(), next++});
  if (config::has_drain_notice(listener.config())) request.descriptors.push_back({listener.drain_notice(), next++});
  return request;
}

}  // namespace

Workers::Workers(loop::Loop& loop, ChildSystem& system, HandlerErrors& errors, Settings settings, Observer observer)
    : loop_(loop),
      system_(system),
      errors_(errors),
      generation_(settings.generation),
      incarnation_(settings.incarnation),
      handler_error_fd_(settings.handler_error_fd),
      observer_(std::move(observer)),
      logs_(loop, std::move(settings.log)),
      errands_({[this](const net::Listener& listener) { return has_ready(listener); },
                [this](const net::Listener& listener, const ipc::Down& message) {
                  return send_to_one(listener, message);
                }}) {}

std::optional<sys::Error> Workers::find_program() {
  auto programs = open_worker_programs();
  if (!programs) return programs.error();
  set_programs(std::move(*programs));
  return std::nullopt;
}

void Workers::set_generation(std::uint32_t generation) {
  generation_ = generation;
  tried_.clear();
}

std::uint32_t Workers::generation_of(const net::Listener& listener) const {
  const auto tried = std::ranges::find_if(
      tried_, [&listener](const auto& one) { return supervision::is_at_or_below(listener.path(), one.first); });
  return tried == tried_.end() ? generation_ : tried->second;
}

std::optional<sys::Error> Workers::start(NodeId node, RunId run, std::string path, net::Listener& listener,
                                         std::uint32_t index, std::optional<Instant> deadline) {
  auto program = programs_.of(listener.config());
  if (!program) return program.error();
  auto ends = open_ends(path, listener, index, run);
  if (!ends) return ends.error();
  listener.remember_handlers(generation_of(listener));

  auto poll = std::make_unique<loop::Poll>(loop_, ends->channel.master.get(), [this, run] { on_channel(run); });
  if (const int error = poll->try_watch(); error != 0) return sys::Error{"epoll_ctl", "", error};

  WorkerProcess& worker = enter(run, std::move(path), listener, index);
  worker.node = node;
  worker.start_deadline = deadline;
  worker.channel = std::move(ends->channel.master);
  watch_channel(worker, std::move(poll));
  worker.lines = std::move(ends->log.lines);

  const SpawnRequest request = request_of(*program, listener,
                                          {{ends->null.get(), 0},
                                           {ends->null.get(), 1},
                                           {ends->log.end.get(), ipc::kLogFd},
                                           {ends->channel.worker.get(), ipc::kChannelFd},
                                           {ends->plan.get(), ipc::kPlanFd},
                                           {listener.table_fd(), ipc::kTableFd},
                                           {listener.bell(), ipc::kBellFd},
                                           {ends->errors.write, ipc::kHandlerErrorFd},
                                           {ends->errors.read, ipc::kErrorReadFd}});
  if (auto error = workers_.forked(run, system_.begin(request))) return error;
  listener.worker_begins();
  errors_.worker_started(listener, index);
  return std::nullopt;
}

sys::Result<Workers::Ends> Workers::open_ends(const std::string& path, net::Listener& listener, std::uint32_t index,
                                              RunId run) {
  if (auto error = provide(listener.path(), listener.config().child)) return *error;
  auto channel = ipc::make_channel();
  if (!channel) return channel.error();
  sys::Fd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) return sys::Error{"open", "/dev/null", errno};
  auto log = logs_.open(listener, path);
  if (!log) return log.error();
  auto errors = error_ends(listener, index, null.get());
  if (!errors) return errors.error();
  auto plan = make_worker_plan(listener, index, run, generation_of(listener),
                               {logs_.of(listener).config(), log->transport, errors->captured});
  if (!plan) return plan.error();
  return Ends{std::move(*channel), std::move(null), std::move(*errors), std::move(*log), std::move(*plan)};
}

WorkerProcess& Workers::enter(RunId run, std::string path, net::Listener& listener, std::uint32_t index) {
  WorkerProcess& worker = workers_.add(run);
  worker.path = std::move(path);
  worker.listener = &listener;
  worker.index = index;
  worker.generation = generation_of(listener);
  worker.incarnation = incarnation_;
  worker.user = user_of(listener.config());
  worker.held_back = !listener.gate().accepting();
  worker.repairs = listener.repairs();
  return worker;
}

sys::Result<Workers::ErrorEnds> Workers::error_ends(net::Listener& listener, std::uint32_t index, int null) {
  const bool inherits = listener.config().child.standard_error == config::StandardError::inherit;
  if (inherits) {
    if (sys::Fd own = inherited_log(listener)) {
      const int write = own.get();
      return ErrorEnds{write, null, false, std::move(own)};
    }
  }
  if (!inherits && !captures_errors(listener.config())) return ErrorEnds{null, null, false, {}};
  auto ends = errors_.ends(listener, index);
  if (!ends) return ends.error();
  return ErrorEnds{ends->write, ends->read, true, {}};
}

void Workers::watch_channel(WorkerProcess& worker, std::unique_ptr<loop::Poll> poll) {
  worker.poll = std::move(poll);
  worker.pause = std::make_unique<loop::Timer>(loop_, [watched = worker.poll.get()] { watched->start(); });
}

void Workers::on_channel(RunId run) {
  if (read_messages(run, kMessagesPerTurn)) return;
  WorkerProcess* const worker = workers_.find(run);
  if (worker == nullptr) return;
  worker->poll->stop();
  worker->pause->start(kChannelPause);
}

bool Workers::read_messages(RunId run, int limit) {
  while (limit-- > 0) {
    WorkerProcess* const found = workers_.find(run);
    if (found == nullptr) return true;
    WorkerProcess& worker = *found;
    ipc::Up message;
    switch (ipc::receive_up(worker.channel.get(), message)) {
      case ipc::Received::message: on_message(worker, message); break;
      case ipc::Received::nothing: return true;
      case ipc::Received::malformed: protocol_error(worker, "a malformed message"); return true;
      case ipc::Received::closed: worker.poll->stop(); return true;  // its end follows as SIGCHLD
    }
  }
  return false;
}

void Workers::on_message(WorkerProcess& worker, const ipc::Up& message) {
  std::visit(sys::Overloaded{[&](const ipc::Hello& hello) { on_hello(worker, hello); },
                             [&](const ipc::Ready&) { on_ready(worker); },
                             [&](const ipc::Fail& fail) { on_fail(worker, fail); },
                             [&](const ipc::Retiring& leaves) {
                               worker.retiring = true;
                               worker.in_hand = leaves.count;
                             },
                             [&](const ipc::Drained& drained) {
                               worker.drained = true;
                               worker.in_hand = drained.count;
                             },
                             [&](const ipc::Signalled&) { worker.unanswered_since.reset(); },
                             [&](const ipc::Done& done) {
                               if (!errands_.done(*worker.listener, worker.run, done)) {
                                 protocol_error(worker, "an answer to no question");
                               }
                             },
                             [&](const ipc::Crash& crash) { observer_.on_news(worker, crash); },
                             [&](const ipc::Paused& paused) { observer_.on_news(worker, paused); },
                             [&](const ipc::Resumed& resumed) { observer_.on_news(worker, resumed); },
                             [&](const ipc::Wanted& wanted) { observer_.on_news(worker, wanted); },
                             [&](const ipc::Worn& worn) { observer_.on_news(worker, worn); }},
             message);
}

void Workers::on_hello(WorkerProcess& worker, const ipc::Hello& hello) {
  if (hello.version != ipc::kProtocolVersion) protocol_error(worker, "another protocol version");
}

void Workers::on_ready(WorkerProcess& worker) {
  if (std::exchange(worker.was_ready, true)) return protocol_error(worker, "ready twice");
  if (worker.state != WorkerProcess::State::starting) return;  // it had not read yet that it is to stop
  worker.state = WorkerProcess::State::ready;
  worker.start_deadline.reset();
  worker.ready_since = now();
  if (worker.lines) worker.lines->read_rest();  // what it wrote before stands before
  tell_whether_to_accept(worker);
  give_repaired(worker);
  net::Listener& listener = *worker.listener;
  observer_.on_ready(worker);
  errands_.next(listener);
}

void Workers::on_fail(WorkerProcess& worker, const ipc::Fail& fail) {
  worker.failure = failure_of(fail);
  worker.shortage = sys::is_shortage(fail.error);
  const bool table = fail.stage == ipc::Stage::table && fail.error != ENOMEM;
  if (table && observer_.on_table_failed) observer_.on_table_failed(worker);
}

bool Workers::has_ready(const net::Listener& listener) const {
  return std::any_of(workers_.begin(), workers_.end(), [&listener](const auto& one) {
    return one.second.listener == &listener && one.second.state == WorkerProcess::State::ready;
  });
}

void Workers::replace_all(net::Listener& listener, const char* why) {
  for (auto& [run, worker] : workers_) {
    if (worker.listener != &listener || system_.has_ended(worker.pid)) continue;
    worker.shortage = true;  // while it starts: no fault of its own
    if (worker.state == WorkerProcess::State::ready) worker.state = WorkerProcess::State::leaving;
    kill_because(worker, why);
  }
}

void Workers::protocol_error(WorkerProcess& worker, const char* what) {
  log::Line(log::Level::error, worker.path).text("sent ").text(what).text(": killed").field("pid", worker.pid).write();
  worker.poll->stop();
  worker.pause->stop();
  kill_because(worker, fmt::format("sent {}", what));
}

// A reason that comes later, a deadline for one, is not the reason any more.
void Workers::kill_because(WorkerProcess& worker, std::string why) {
  worker.start_deadline.reset();
  worker.failure = std::move(why);
  kill_now(worker);
}

void Workers::kill_now(WorkerProcess& worker) {
  worker.watch.killed(now());
  system_.signal(worker.pid, SIGKILL, false);
}

void Workers::tell_unkillable(Instant now) {
  for (auto& [run, worker] : workers_) {
    if (!system_.has_ended(worker.pid) && worker.watch.is_due(now)) log_unkillable(worker.path, worker.pid);
  }
}

void Workers::stop(RunId run) {
  WorkerProcess* const found = workers_.find(run);
  if (found == nullptr) return;
  WorkerProcess& worker = *found;
  worker.state = WorkerProcess::State::leaving;
  worker.start_deadline.reset();
  // A worker whose channel is full or closed still reads its signals.
  if (!ipc::send(worker.channel.get(), ipc::Retire{})) system_.signal(worker.pid, SIGTERM, false);
}

void Workers::kill(RunId run) {
  if (WorkerProcess* worker = workers_.find(run)) kill_now(*worker);
}

void Workers::kill_all() {
  for (auto& [run, worker] : workers_) {
    if (find_let_go(run) == nullptr) kill_now(worker);
  }
}

// Sends the message that the ready workers got while this one was starting.
void Workers::tell_whether_to_accept(const WorkerProcess& worker) {
  if (worker.held_back != worker.listener->gate().accepting()) return;
  (void)ipc::send(worker.channel.get(), worker.held_back ? ipc::Down(ipc::Resume{}) : ipc::Suspend{});
}

void Workers::give_repaired(const WorkerProcess& worker) {
  if (worker.repairs == worker.listener->repairs()) return;
  for (const net::ListeningSocket& socket : worker.listener->sockets()) send_socket(worker, socket);
}

void Workers::give_socket(const net::Listener& listener, const net::ListeningSocket& socket) {
  for (const auto& [run, worker] : workers_) {
    if (worker.listener != &listener || worker.state != WorkerProcess::State::ready) continue;
    send_socket(worker, socket);
  }
}

void Workers::send_to_older(const net::Listener& listener, std::uint32_t generation, const ipc::Down& message) {
  for (const auto& [run, worker] : workers_) {
    const bool ready = worker.listener == &listener && worker.state == WorkerProcess::State::ready;
    if (ready && worker.generation < generation) (void)ipc::send(worker.channel.get(), message);
  }
}

std::optional<RunId> Workers::send_to_one(const net::Listener& listener, const ipc::Down& message) {
  for (const auto& [run, worker] : workers_) {
    const bool ready = worker.listener == &listener && worker.state == WorkerProcess::State::ready;
    if (ready && ipc::send(worker.channel.get(), message)) return run;
  }
  return std::nullopt;
}

bool Workers::send(net::Listener& listener, const ipc::Down& message) {
  bool taken = true;
  const bool signal = std::holds_alternative<ipc::Signal>(message);
  for (auto& [run, worker] : workers_) {
    const bool meant = worker.state == WorkerProcess::State::ready ||
                       (signal && worker.state == WorkerProcess::State::leaving);  // it may still hold connections
    if (worker.listener != &listener || !meant) continue;
    if (!ipc::send(worker.channel.get(), message) && errno == EAGAIN) taken = false;
    if (signal && !worker.unanswered_since) {
      worker.unanswered_since = now();
    }
  }
  return taken;
}

void Workers::kill_unresponsive(net::Listener& listener, std::chrono::nanoseconds patience) {
  const Instant time = now();
  for (auto& [run, worker] : workers_) {
    if (worker.listener != &listener || !worker.unanswered_since || time - *worker.unanswered_since < patience)
      continue;
    kill_because(worker, kNoAnswer);
  }
}

void Workers::kill_hung(Instant now) {
  logs_.forget_ended();
  for (auto& [run, worker] : workers_) {
    if (worker.state == WorkerProcess::State::starting || worker.alone) continue;
    const auto errand = errands_.since(*worker.listener, run);
    const bool silent = errand && now - *errand >= kHung;
    const std::int64_t last = worker.listener->table().heartbeat_ns(worker.index);
    const bool late = now.time_since_epoch() - std::chrono::nanoseconds(last) >= kHung;
    const bool hangs = silent || (late && std::exchange(worker.late, late));
    worker.late = late;
    if (!hangs) continue;
    kill_because(worker, kNoAnswer);
    observer_.on_hung(worker);
  }
  errands_.next_of_all();  // a worker's channel may have been full
}

void Workers::on_deadline(Instant now) {
  for (auto& [run, worker] : workers_) {
    if (!worker.start_deadline || *worker.start_deadline > now) continue;
    kill_because(worker, worker.state == WorkerProcess::State::leaving ? kDoesNotLeave : kNotReadyInTime);
  }
}

void Workers::abort_starts(const std::function<void(RunId, const std::string&)>& tell) {
  for (auto& [run, worker] : workers_) {
    if (worker.state != WorkerProcess::State::starting || system_.has_ended(worker.pid)) continue;
    tell(run, worker.path);
    kill_because(worker, kStillStarting);
  }
}

std::optional<Instant> Workers::next_deadline() const {
  std::optional<Instant> next;
  for (const auto& [run, worker] : workers_) {
    if (worker.start_deadline && (!next || *worker.start_deadline < *next)) next = worker.start_deadline;
  }
  return next;
}

WorkerProcess Workers::take(pid_t pid) {
  const RunId run = workers_.of(pid).run;
  (void)read_messages(run, kMessagesAtEnd);
  WorkerProcess worker = std::move(workers_.of(pid));
  worker.pause.reset();
  worker.poll.reset();
  if (worker.lines) {
    worker.lines->read_rest();
    if (!worker.lines->at_end()) logs_.keep(std::move(worker.lines));
  }
  workers_.drop(run);
  errands_.worker_gone(*worker.listener, run);
  worker.listener->worker_gone();
  return worker;
}

bool Workers::has_ended(RunId run) const {
  const WorkerProcess* const worker = find(run);
  return worker != nullptr && system_.has_ended(worker->pid);
}

bool Workers::has(const net::Listener& listener, std::uint32_t index) const {
  return std::any_of(workers_.begin(), workers_.end(), [&](const auto& entry) {
    return entry.second.listener == &listener && entry.second.index == index;
  });
}

bool Workers::all_drained(const net::Listener& listener, bool patient) const {
  bool any = false;
  for (const auto& [run, worker] : workers_) {
    if (worker.listener != &listener) continue;
    const bool given_up = !patient && worker.state == WorkerProcess::State::starting;
    if (!worker.drained && !given_up && worker.state != WorkerProcess::State::leaving) return false;
    any = true;
  }
  return any || !patient;
}

bool Workers::any_in_hand(const net::Listener& listener) const {
  return std::any_of(workers_.begin(), workers_.end(), [&listener](const auto& one) {
    return one.second.listener == &listener && one.second.in_hand != 0;
  });
}

void Workers::for_each(const std::function<void(const WorkerProcess&)>& visit) const {
  for (const auto& [run, worker] : workers_) visit(worker);
}

}  // namespace bulkhead::process
