#include "worker/worker_main.h"

#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bulkhead_version.h"
#include "worker/acceptor.h"
#include "worker/beginning.h"
#include "worker/confine/walls.h"
#include "worker/connections.h"
#include "worker/handler_output.h"
#include "worker/ipc/channel.h"
#include "worker/ipc/connection_log.h"
#include "worker/ipc/table/robust_lock.h"
#include "worker/lifetimes.h"
#include "worker/log/log.h"
#include "worker/loop/loop.h"
#include "worker/modules/modules.h"
#include "worker/reception.h"
#include "worker/refusals.h"
#include "worker/starter.h"
#include "worker/sys/clock.h"
#include "worker/sys/fork_diet.h"
#include "worker/sys/overloaded.h"
#include "worker/sys/signal.h"
#include "worker/sys/title.h"

namespace bulkhead::worker {

namespace {

// Read from the signalfd: CHLD, and TERM or QUIT, which retire this worker. The others stay pending forever, so that a
// `pkill -HUP` or a Ctrl-C meant for the master does no harm; PIPE becomes EPIPE.
constexpr auto kBlocked = {SIGCHLD, SIGTERM,  SIGQUIT, SIGHUP,  SIGINT,  SIGUSR1,
                           SIGUSR2, SIGWINCH, SIGTTIN, SIGTTOU, SIGPIPE, SIGALRM};
constexpr auto kWatched = {SIGCHLD, SIGTERM, SIGQUIT};

// How long ended children may stay unreaped: while a client waits for a resource that they hold, and otherwise.
constexpr std::chrono::nanoseconds kQuiet = std::chrono::milliseconds(10);
constexpr std::chrono::nanoseconds kCalm = std::chrono::milliseconds(100);
// Many children are looked at once one in so many has ended, or in a fiftieth of this worker's time.
constexpr std::uint32_t kChildrenPerEnd = 16;
constexpr int kShareOfLooks = 50;
// How soon to look at processes that a handler left behind: they have had their SIGTERM, and hold the slot until they
// end.
constexpr std::chrono::nanoseconds kLinger = std::chrono::milliseconds(20);

class Worker {
 public:
  Worker(const ipc::Plan& plan, ipc::Table table, modules::Modules* modules);
  int run();

 private:
  void on_channel();
  void on_signal();
  void on_children();
  void on_child(pid_t pid);
  void after_ends();
  void sweep_lingering();
  void look_at_children();
  void on_quiet_over();
  [[nodiscard]] bool needed() const noexcept;  // a client waits for a resource that the end of a child frees
  void on_message(const ipc::Down& message, sys::Fd& descriptor);
  void drain();
  void signal_connections(const ipc::Signal& order);
  static void done(ipc::MessageType what, std::uint32_t count);
  void limit(const ipc::Limits& order);
  void repair();
  void collect(const ipc::Collect& order);
  void replace_log(const ipc::Log& log, const sys::Fd& descriptor);
  void write_log_as(const ipc::Log& log);
  void on_master_gone();
  void on_broken(int error);
  void on_tick();
  void retire(ipc::RetireReason reason);
  void leave_if_idle();
  void ask_to_be_replaced();
  void show_title();

  const ipc::Plan& plan_;
  const ipc::PlanHeader& header_;
  const char* path_;
  ipc::Table table_;
  modules::Modules* modules_;
  loop::Loop loop_;
  sys::Fd signals_;
  SourceWatch sources_;
  Lifetimes lifetimes_;
  Starter starter_;
  std::optional<ClientWatch> clients_;
  std::optional<EndBytes> bytes_;
  Connections connections_;
  Wear wear_;
  char log_identity_[ipc::kTextSize] = {};  // the log keeps a pointer
  std::unique_ptr<HandlerOutput> output_;   // logs the standard error of programs
  Refusals refusals_;
  Reception reception_;
  Acceptor acceptor_;
  loop::Poll channel_poll_;
  loop::Poll signal_poll_;
  loop::Timer tick_;
  loop::Timer quiet_;
  loop::Timer linger_;
  std::chrono::nanoseconds linger_wait_{0};
  std::uint32_t named_ = 0;  // children, by signals, since the last look at all of them
  std::chrono::nanoseconds cost_of_look_{0};
  bool orphaned_ = false;
  bool retiring_ = false;
  int exit_status_ = kRetired;
};

Worker::Worker(const ipc::Plan& plan, ipc::Table table, modules::Modules* modules)
    : plan_(plan),
      header_(plan.header()),
      path_(plan.string(header_.listener_path)),
      table_(std::move(table)),
      modules_(modules),
      signals_(sys::open_signal_fd(kWatched)),
      sources_(plan, table_),
      lifetimes_(loop_, plan, table_),
      starter_(plan, table_, ipc::kHandlerErrorFd, modules),
      clients_(starter_.executes() ? std::make_optional<ClientWatch>(loop_, table_) : std::nullopt),
      bytes_(header_.count_bytes != 0 ? std::make_optional<EndBytes>(loop_, plan, table_) : std::nullopt),
      connections_(plan, table_, starter_, sources_, lifetimes_, clients_ ? &*clients_ : nullptr,
                   bytes_ ? &*bytes_ : nullptr, ipc::kChannelFd, ipc::kBellFd),
      wear_(header_.wear, sys::monotonic_ns()),
      refusals_(loop_, plan, table_, [this] { leave_if_idle(); }),
      reception_(plan, table_, connections_, refusals_, sources_, ipc::kChannelFd),
      acceptor_(
          loop_, plan, table_, connections_, reception_, ipc::kChannelFd, ipc::kBellFd, take_sockets(header_),
          {[this](int error) { on_broken(error); }, [this] { signal_poll_.start(); }, [this] { leave_if_idle(); }}),
      channel_poll_(loop_, ipc::kChannelFd, [this] { on_channel(); }),
      signal_poll_(loop_, signals_.get(), [this] { on_signal(); }),
      tick_(loop_, [this] { on_tick(); }),
      quiet_(loop_, [this] { on_quiet_over(); }),
      linger_(loop_, [this] { sweep_lingering(); }) {
  if (!signals_) cannot_start(ipc::Stage::loop, errno);
  connections_.watch_wear(wear_, [this] { ask_to_be_replaced(); });
  connections_.watch_lingering([this] { linger_.start(linger_wait_ = kLinger); });
  if (header_.captures_errors != 0) {
    output_ = std::make_unique<HandlerOutput>(loop_, plan, table_, connections_);
  } else {
    ::close(ipc::kErrorReadFd);
  }
}

// Puts a page in between, so that no frame of the loop shares the page of the arguments, which children inherit: each
// of our own writes there after a fork would be a page fault.
[[gnu::noinline]] void run_below_arguments(loop::Loop& loop) {
  char gap[4096];
  asm volatile("" : : "r"(gap) : "memory");
  loop.run();
  asm volatile("" : : "r"(gap) : "memory");  // it must not become a tail call
}

int Worker::run() {
  // After the change to the listener's user, because the table may hold any bytes.
  repair();
  table_.limit(header_.limits);
  connections_.collect(0, table_.high_water());
  ipc::WorkerRecord& record = table_.worker(header_.worker);
  record = {};
  record.run = header_.run;
  channel_poll_.start();
  signal_poll_.start();
  on_tick();
  tick_.start(std::chrono::seconds(1), std::chrono::seconds(1));
  if (header_.suspended != 0) acceptor_.suspend();
  acceptor_.start();
  (void)ipc::send(ipc::kChannelFd, ipc::Ready{});
  // A module's connections keep the worker's heap and stack.
  if (modules_ == nullptr && !ipc::copies_memory(header_)) {
    sys::keep_heap_from_children();
    sys::keep_stack_from_children();
  }
  run_below_arguments(loop_);
  if (output_) output_->finish();
  if (bytes_) bytes_->finish();
  if (modules_ != nullptr) modules_->finish();
  return exit_status_;
}

void Worker::on_channel() {
  for (;;) {
    ipc::Down message;
    sys::Fd descriptor;
    switch (ipc::receive_down(ipc::kChannelFd, message, descriptor)) {
      case ipc::Received::message: on_message(message, descriptor); break;
      case ipc::Received::nothing: return;
      case ipc::Received::malformed: break;  // from our own master: ignored
      case ipc::Received::closed: return on_master_gone();
    }
  }
}

void Worker::on_message(const ipc::Down& message, sys::Fd& descriptor) {
  std::visit(
      sys::Overloaded{
          [this](const ipc::Retire&) { retire(ipc::RetireReason::asked); }, [this](const ipc::Drain&) { drain(); },
          [this](const ipc::Suspend&) { acceptor_.suspend(); }, [this](const ipc::Resume&) { acceptor_.resume(); },
          [this](const ipc::Kick&) { acceptor_.look_again(); },
          [this](const ipc::Signal& order) { signal_connections(order); },
          [this](const ipc::Limits& order) { limit(order); }, [this](const ipc::Collect& order) { collect(order); },
          [this](const ipc::Forgive& order) { done(order.kType, table_.forgive(order.prefix)); },
          [this](const ipc::End& order) { connections_.end(order); },
          [&](const ipc::Socket& one) {
            if (descriptor) acceptor_.replace(one.number, std::move(descriptor));
          },
          [&](const ipc::Log& log) { replace_log(log, descriptor); }},
      message);
}

void Worker::drain() {
  acceptor_.drain(
      [](std::size_t in_hand) { (void)ipc::send(ipc::kChannelFd, ipc::Drained{static_cast<std::uint32_t>(in_hand)}); });
}

void Worker::done(ipc::MessageType what, std::uint32_t count) {
  (void)ipc::send(ipc::kChannelFd, ipc::Done{what, count});
}

void Worker::limit(const ipc::Limits& order) {
  table_.limit(order.limits);
  acceptor_.look_again();
  done(order.kType, 0);
}

void Worker::repair() {
  table_.repair(sources_.asks() ? &sources_.rules() : nullptr, sys::monotonic_ns());
}

void Worker::collect(const ipc::Collect& order) {
  if (order.first == order.end) repair();
  connections_.collect(order.first, order.end);
  done(order.kType, 0);
}

void Worker::signal_connections(const ipc::Signal& order) {
  if (order.slot == ipc::kAllSlots) acceptor_.give_up();
  (void)ipc::send(ipc::kChannelFd, ipc::Signalled{connections_.signal(order.slot, order.use, order.signal)});
}

void Worker::replace_log(const ipc::Log& log, const sys::Fd& descriptor) {
  switch (log.use) {
    case ipc::LogUse::lines:
      if (!descriptor || dup2(descriptor.get(), ipc::kLogFd) >= 0) write_log_as(log);
      break;
    case ipc::LogUse::handlers:
      if (descriptor) dup3(descriptor.get(), ipc::kHandlerErrorFd, O_CLOEXEC);
      break;
    case ipc::LogUse::count_: break;
  }
}

void Worker::write_log_as(const ipc::Log& log) {
  std::memcpy(log_identity_, log.identity, sizeof log_identity_ - 1);
  log::configure({ipc::kLogFd, log.format, log.level, "bulkhead-worker", log.transport, log.facility, log_identity_,
                  log.addresses});
  connections_.log_moments((log.moments & ipc::kLogStart) != 0, (log.moments & ipc::kLogEnd) != 0);
}

void Worker::on_signal() {
  signalfd_siginfo news[4];
  const ssize_t got = ::read(signals_.get(), news, sizeof news);
  bool leave = false;
  pid_t child = 0;
  for (std::size_t i = 0; got > 0 && i < static_cast<std::size_t>(got) / sizeof news[0]; ++i) {
    leave = leave || news[i].ssi_signo == SIGTERM || news[i].ssi_signo == SIGQUIT;
    if (news[i].ssi_signo == SIGCHLD) child = static_cast<pid_t>(news[i].ssi_pid);
  }
  if (leave) return retire(ipc::RetireReason::terminated);
  if (!connections_.few()) return on_child(child);
  on_children();
  // Under load each accept reaps as well, and being woken once more for every end would cost a tenth of the rate. So
  // the next wake is delayed a little, unless a client waits for a resource that an end frees.
  if (needed()) return;
  signal_poll_.stop();
  quiet_.start(kQuiet);
}

bool Worker::needed() const noexcept {
  return acceptor_.waits() || table_.somebody_waits();
}

// Reaps all children that have ended.
void Worker::on_children() {
  named_ = 0;
  if (connections_.reap()) after_ends();
}

void Worker::after_ends() {
  acceptor_.on_child_ended();
  leave_if_idle();
}

// Most processes that handlers leave behind end at SIGTERM. The others are looked at less and less often, in the end
// once a second, by on_tick().
void Worker::sweep_lingering() {
  connections_.sweep_lingering(sys::monotonic_ns());
  linger_wait_ *= 2;
  if (connections_.lingers() && linger_wait_ < std::chrono::seconds(1)) linger_.start(linger_wait_);
  leave_if_idle();
}

// Used while children are many. One signal stands for all children that have ended since the last was read, and names
// the first of them, so others may have ended too: they are looked for when enough have been named to make it
// worthwhile, or after a quiet moment.
void Worker::on_child(pid_t pid) {
  if (pid != 0 && connections_.reap(pid)) after_ends();
  if (++named_ > connections_.active() / kChildrenPerEnd) return look_at_children();
  quiet_.start(std::max(needed() ? kQuiet : kCalm, cost_of_look_ * kShareOfLooks));
}

void Worker::look_at_children() {
  const std::int64_t began = sys::monotonic_ns();
  on_children();
  cost_of_look_ = std::chrono::nanoseconds(sys::monotonic_ns() - began);
}

void Worker::on_quiet_over() {
  if (named_ != 0) look_at_children();
  signal_poll_.start();
}

// Retiring is dying on purpose: the children continue, and the master adopts them. The worker stays only until refused
// clients have had a moment to read the reason, and accepted ones the time to send their PROXY header.
void Worker::retire(ipc::RetireReason reason) {
  if (std::exchange(retiring_, true)) return;
  acceptor_.close();
  const auto in_hand = static_cast<std::uint32_t>(acceptor_.in_hand());
  (void)ipc::send(ipc::kChannelFd, ipc::Retiring{reason, in_hand});
  leave_if_idle();
}

// No master could adopt the children, so they keep their parent until they end. A master that has let this worker go
// waits to hear that its sockets are closed.
void Worker::on_master_gone() {
  orphaned_ = true;
  channel_poll_.stop();
  acceptor_.close();
  (void)ipc::send(ipc::kChannelFd, ipc::Drained{static_cast<std::uint32_t>(acceptor_.in_hand())});
  log::Line(log::Level::warning, path_)
      .text("no longer has a master: not accepting; existing connections continue until they end")
      .field("connections", connections_.active())
      .write();
  leave_if_idle();
}

void Worker::on_broken(int error) {
  log::Line(log::Level::error, path_)
      .text("the listening socket is unusable: ")
      .text(strerrordesc_np(error))
      .text("; this worker exits")
      .write();
  exit_status_ = kCannotStart;
  loop_.stop();
}

void Worker::leave_if_idle() {
  if (!refusals_.idle() || acceptor_.in_hand() != 0) return;
  if (retiring_ || (orphaned_ && connections_.idle())) loop_.stop();
}

void Worker::on_tick() {
  const std::int64_t now = sys::monotonic_ns();
  table_.worker(header_.worker).heartbeat_ns = now;
  on_children();  // a debugger can swallow signals
  connections_.sweep_lingering(now);
  acceptor_.tick(now);
  refusals_.tick(now);
  if (output_) output_->tick(now);
  ask_to_be_replaced();
  leave_if_idle();
  show_title();
}

// Again at each tick: whether it may go now, the master knows. A worker whose connections crash accepts none until
// then, because each of them could be another guess at what they share.
void Worker::ask_to_be_replaced() {
  const auto reason = wear_.reason(sys::monotonic_ns());
  if (!reason || retiring_ || orphaned_) return;
  if (wear_.is_exposed()) acceptor_.hold();
  (void)ipc::send(ipc::kChannelFd, ipc::Worn{*reason});
}

void Worker::show_title() {
  char title[sys::kTitleLength];
  const int length = std::snprintf(title, sizeof title, "bulkheadd: %s [g%u] %u/%u", plan_.string(header_.title),
                                   header_.generation, connections_.active(), table_.capacity());
  if (length > 0) sys::Title::set({title, std::min(static_cast<std::size_t>(length), sizeof title - 1)});
}

}  // namespace

int worker_main(int argc, char** argv, modules::Modules* modules) {
  sys::take_over_signals(kBlocked);
  if (!started_by_master()) {
    std::fputs("bulkhead-worker is started by bulkheadd, not by hand: see bulkheadd(8).\n", stderr);
    return kNotForYou;
  }
  sys::Title::init(argc, argv, "bulkhead-worker");
  ipc::register_robust_list();
  const ipc::Plan plan = take_plan();
  const ipc::PlanHeader& header = plan.header();
  const std::string identity = plan.string(header.log_identity);  // children that log do not have the plan
  log::configure({ipc::kLogFd, static_cast<log::Format>(header.log_format), static_cast<log::Level>(header.log_level),
                  "bulkhead-worker", static_cast<log::Transport>(header.log_transport), header.log_facility,
                  identity.c_str(), static_cast<log::Addresses>(header.log_addresses)});
  ipc::Hello hello;
  hello.version = ipc::kProtocolVersion;
  std::strncpy(hello.build, BULKHEAD_VERSION, sizeof hello.build - 1);
  (void)ipc::send(ipc::kChannelFd, hello);
  ipc::call_when_stuck([] { cannot_start(ipc::Stage::table, ETIMEDOUT); });
  keep_descriptors(header);
  ipc::Table table = take_table(header);
  check_built_ins(plan);
  if (!has_module(header)) {
    modules = nullptr;
  } else if (modules == nullptr) {
    cannot_start(ipc::Stage::module, ENOSYS);
  }
  if (modules != nullptr) need(modules->copy(plan));
  become(plan, plan.string(header.listener_path));
  if (modules != nullptr) load(*modules, header, table.room());
  const auto worker = std::make_unique<Worker>(plan, std::move(table), modules);
  // By _exit: nothing is buffered, and the kernel frees what destructors would.
  _exit(worker->run());
}

}  // namespace bulkhead::worker
