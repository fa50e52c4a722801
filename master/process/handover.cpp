// Writing and resuming the structs of handover.h, for every class in this folder that runs something.
#include "master/process/handover.h"

#include <sys/wait.h>

#include <utility>

#include "master/process/adoption.h"
#include "master/process/handler_errors.h"
#include "master/process/processes.h"
#include "master/process/workers.h"

namespace bulkhead::process {

std::vector<WorkerHandover> Workers::hand_over() const {
  std::vector<WorkerHandover> out;
  for (const auto& [run, worker] : workers_) {
    out.push_back({worker.node, run, worker.path, worker.index, worker.generation, worker.incarnation, worker.pid,
                   static_cast<std::uint32_t>(worker.state), worker.retiring, worker.drained, worker.in_hand,
                   worker.user, worker.failure, worker.start_deadline, worker.unanswered_since, worker.channel.get(),
                   worker.lines ? worker.lines->hand_over() : LinesHandover{}});
  }
  return out;
}

void Workers::resume(const WorkerHandover& from, net::Listener& listener) {
  WorkerProcess& worker = workers_.add(from.run);
  worker.node = from.node;
  worker.path = from.path;
  worker.listener = &listener;
  worker.index = from.index;
  worker.generation = from.generation;
  worker.state = static_cast<WorkerProcess::State>(from.state);
  worker.was_ready = worker.state != WorkerProcess::State::starting;
  worker.incarnation = from.incarnation;
  worker.retiring = from.retiring;
  worker.drained = from.drained;
  worker.in_hand = from.in_hand;
  worker.user = from.user;
  listener.worker_begins();
  worker.failure = from.failure;
  worker.start_deadline = from.start_deadline;
  worker.unanswered_since = from.unanswered_since;
  (void)logs_.of(listener);
  if (from.lines.fd >= 0) {
    worker.lines = logs_.resumed(from.lines, &listener);
  }
  worker.channel.reset(from.channel);
  worker.repairs = ~std::uint64_t{0};  // not known: it gets all sockets once it is ready
  watch_channel(worker, std::make_unique<loop::Poll>(loop_, from.channel, [this, run = from.run] { on_channel(run); }));
  (void)workers_.forked(from.run, from.pid);
  worker.poll->start();
}

LinesHandover WorkerLines::hand_over() const {
  return {path_, socket_.get(), splitter_.line(), splitter_.in_long()};
}

void WorkerLines::resume(const LinesHandover& from) {
  splitter_.resume(from.line, from.dropping);
  watch(sys::Fd(from.fd));
}

OutputHandover ChildOutput::hand_over() const {
  const auto state = [](const Stream& stream) {
    const std::string bytes = stream.lines.line() + stream.held;
    return StreamHandover{stream.pipe.get(),
                          {bytes.begin(), bytes.end()},
                          stream.lines.in_long(),
                          stream.file ? stream.file->path() : "",
                          stream.file ? stream.file->get() : -1};
  };
  return {state(out_), state(error_), unsent_};
}

void ChildOutput::resume(const OutputHandover& from) {
  for (const auto& [stream, state] : {std::pair{&out_, &from.out}, std::pair{&error_, &from.error}}) {
    stream->lines.resume("", state->in_long);
    if (state->file >= 0) {
      stream->file = std::make_unique<OutputFile>(path_, state->file_path);
      stream->file->resume(state->file);
    }
    stream->held.assign(state->bytes.begin(), state->bytes.end());
    if (state->fd >= 0) {
      stream->pipe = WatchedFd(loop_, sys::Fd(state->fd), [this, one = stream] { take_turn(*one, kBytesPerTurn); });
    }
  }
  unsent_ = from.unsent;
  again_.start(std::chrono::milliseconds(0));
}

std::vector<ProcessHandover> Processes::hand_over() const {
  std::vector<ProcessHandover> out;
  for (const auto& [run, child] : children_) {
    out.push_back({child.node, run, child.path, child.pid, static_cast<std::uint32_t>(child.state), child.stopping,
                   child.watchdog_expired, child.closed_notify_fd, child.failure, child.status, child.start_deadline,
                   child.watchdog_deadline, child.group.hand_over(), child.timed_out, child.ended, child.report.get(),
                   child.notify.get(), child.output->hand_over()});
  }
  return out;
}

void Processes::resume(const ProcessHandover& from, const config::Process& config,
                       const supervision::Shutdown& shutdown, config::Timeout start_timeout) {
  ProcessChild& child = children_.add(from.run);
  child.node = from.node;
  child.path = from.path;
  child.config = config;
  child.shutdown = shutdown;
  child.start_timeout = start_timeout;
  child.group.resume(from.group);
  child.timed_out = from.timed_out;
  child.ended = from.ended;
  child.state = static_cast<ProcessChild::State>(from.state);
  child.stopping = from.stopping;
  child.watchdog_expired = from.watchdog_expired;
  child.closed_notify_fd = from.closed_notify_fd;
  child.failure = from.failure;
  child.status = from.status;
  child.start_deadline = from.start_deadline;
  child.watchdog_deadline = config.watchdog ? from.watchdog_deadline : std::nullopt;
  if (auto error = open_log(child)) {
    log::Line(log::Level::error, child.path).text("logs to the daemon's log: ").text(error->text()).write();
  }
  child.output = std::make_unique<ChildOutput>(loop_, child.path, limits_of(config), child.log);
  child.output->resume(from.output);
  (void)children_.forked(from.run, from.pid);
  if (from.report >= 0) {
    child.report = WatchedFd(loop_, sys::Fd(from.report), [this, &child] { read_report(child); });
  }
  if (from.notify >= 0) {
    child.notify = WatchedFd(loop_, sys::Fd(from.notify), [this, &child] { read_notify(child); });
  }
}

std::vector<RemainsHandover> OutputRemains::hand_over() const {
  std::vector<RemainsHandover> out;
  for (const Remains& remains : remains_) {
    out.push_back({remains.path, remains.deadline, remains.output->hand_over()});
  }
  return out;
}

void OutputRemains::resume(const RemainsHandover& from, Instant now, std::unique_ptr<ChildOutput> output) {
  output->resume(from.output);
  add(from.path, now, from.deadline, std::move(output));
}

void Processes::resume(const RemainsHandover& from, Instant now) {
  remains_.resume(from, now, std::make_unique<ChildOutput>(loop_, from.path));
}

std::vector<ErrorsHandover> HandlerErrors::hand_over() const {
  std::vector<ErrorsHandover> out;
  for (const auto& [key, channel] : channels_) {
    out.push_back({key.first->path(), key.second, channel->pair.read.get(), channel->pair.write.get()});
  }
  return out;
}

void HandlerErrors::resume(const ErrorsHandover& from, const net::Listener& listener) {
  add(listener, from.index, {sys::Fd(from.read), sys::Fd(from.write)});
}

AdoptionHandover Adoption::hand_over() const {
  AdoptionHandover out;
  for (const auto& [pid, one] : adopted_) {
    out.adopted.push_back({pid, one.listener->path(), one.slot, one.use, one.user, one.asked,
                           static_cast<std::uint32_t>(one.lifetime), static_cast<std::uint32_t>(one.cause),
                           one.deadline_ns});
  }
  for (const Lingering& one : lingering_) {
    out.lingering.push_back(
        {one.listener->path(), one.slot, ipc::word_of(one.word), one.group, one.user, one.deadline_ns});
  }
  for (const Parked& parked : parked_) out.parked.push_back({parked.pid, parked.wait_status, parked.until_ns});
  return out;
}

// One that has ended by now is still a zombie, and reaped like any other.
void Adoption::resume(const std::function<net::Listener*(const std::string&)>& find, const AdoptionHandover& from) {
  for (const ParkedHandover& one : from.parked) parked_.push_back({one.pid, one.wait_status, one.until_ns});
  for (const AdoptedHandover& one : from.adopted) {
    add(one.pid, {find(one.listener), one.slot, one.use, one.user, one.asked, static_cast<ipc::Lifetime>(one.lifetime),
                  static_cast<ipc::EndCause>(one.cause), one.deadline_ns});
  }
  for (const LingeringHandover& one : from.lingering) {
    lingering_.push_back(
        {find(one.listener), one.slot, ipc::master_word(one.word), one.group, one.user, one.deadline_ns});
  }
}

}  // namespace bulkhead::process
