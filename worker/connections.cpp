#include "worker/connections.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "worker/admission/accept_error.h"
#include "worker/ipc/channel.h"
#include "worker/ipc/connection_log.h"
#include "worker/sys/clock.h"
#include "worker/sys/raw.h"
#include "worker/sys/signal.h"

namespace bulkhead::worker {

namespace {

constexpr std::uint32_t kCrashReportsPerSecond = 100;

ipc::Peer local_of(int connection) noexcept {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (getsockname(connection, reinterpret_cast<sockaddr*>(&address), &length) != 0) return {};
  return ipc::peer_of(address);
}

std::size_t largest_environment(const ipc::PlanHeader& header) noexcept {
  std::size_t largest = 0;
  for (std::uint32_t i = 0; i < header.handler_count; ++i) {
    largest = std::max<std::size_t>(largest, header.handlers[i].environment.count);
  }
  return largest;
}

// Rounded up; 0 where there is no deadline. One that has just passed is a second away: the program still has to hear
// it.
std::uint32_t seconds_until(std::int64_t deadline_ns) noexcept {
  constexpr std::int64_t kSecond = 1'000'000'000;
  if (deadline_ns == 0) return 0;
  const std::int64_t left = (deadline_ns - sys::monotonic_ns() + kSecond - 1) / kSecond;
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(left, 1, UINT32_MAX));
}

// Written in the worker and not in the child: there it would be a page of its own to copy.
class Title {
 public:
  Title(std::uint64_t id, const ipc::Peer& peer, const char* handler) noexcept {
    char hex[17];
    char address[64];
    append("bulkheadd: connection ");
    append(ipc::hex_text(id, hex));
    append(" ");
    append(ipc::address_text(peer, address) != 0 ? address : ipc::PeerText(peer).view());
    append(" ");
    append(handler);
  }
  [[nodiscard]] std::string_view view() const noexcept { return {text_, length_}; }

 private:
  void append(std::string_view words) noexcept {
    const std::size_t count = std::min(words.size(), sizeof text_ - length_);
    std::memcpy(text_ + length_, words.data(), count);
    length_ += count;
  }
  char text_[child::kTitleRoom];
  std::size_t length_ = 0;
};

}  // namespace

Connections::Connections(const ipc::Plan& plan, ipc::Table& table, SourceWatch& sources, Lifetimes& lifetimes,
                         int channel, int bell, int handler_error_fd, handlers::Modules* modules)
    : plan_(plan),
      header_(plan.header()),
      table_(table),
      sources_(sources),
      lifetimes_(lifetimes),
      channel_(channel),
      bell_(bell),
      handler_error_fd_(handler_error_fd),
      modules_(modules),
      pids_(table.capacity()),
      limits_(confine::limits_of(header_.confinement)),
      log_start_(header_.log_connection_start != 0),
      log_end_(header_.log_connection_end != 0),
      socket_names_(plan.vector(header_.socket_names)),
      banner_(plan.string(header_.banner)),
      environment_(largest_environment(header_)) {
  environment_.leave_out(plan.vector(header_.left_out));
  for (std::uint32_t i = 0; i < header_.handler_count; ++i) {
    const ipc::PlanHandler& handler = plan.handler(i);
    const bool built_in = handler.kind == ipc::HandlerKind::built_in;
    executes_ = executes_ || !built_in;
    programs_.push_back({built_in ? handlers::find_built_in(plan.string(handler.name)) : nullptr,
                         plan.vector(handler.argv), plan.vector(handler.environment)});
  }
}

std::uint32_t Connections::slot_of(pid_t leader) noexcept {
  if (const std::uint32_t slot = pids_.find(leader); slot != kNoEntry) return slot;
  const auto left = std::find_if(lingering_.begin(), lingering_.end(),
                                 [&](std::uint32_t index) { return table_.slot(index).pid == leader; });
  return left == lingering_.end() ? kNoEntry : *left;
}

std::uint64_t Connections::id_of(std::uint32_t index) noexcept {
  return ipc::connection_id(table_.slot(index).use, header_.listener, index);
}

void Connections::ring(bool wanted) noexcept {
  const std::uint64_t one = 1;
  if (wanted) (void)!::write(bell_, &one, sizeof one);
}

// Where the connection arrived, whatever a balancer says.
ipc::Peer Connections::own_local(const Arrival& arrival) const noexcept {
  const bool any = header_.wildcard[arrival.socket] != 0;
  return any ? local_of(arrival.connection.get()) : header_.local[arrival.socket];
}

Connections::Begun Connections::begin(Arrival& arrival) noexcept {
  const std::uint32_t index = arrival.slot;
  ipc::Slot& slot = table_.slot(index);
  if (slot.state == ipc::SlotState::claimed) {
    slot.peer = arrival.client;
    const bool claimed = arrival.local.family != AF_UNSPEC;
    slot.local = claimed ? arrival.local : own_local(arrival);
    slot.real_peer = claimed ? arrival.transport : ipc::Peer{};
    slot.started_ns = sys::monotonic_ns();
    slot.generation = header_.generation;
    slot.handler = static_cast<std::uint16_t>(arrival.handler);
    slot.built_in = programs_[arrival.handler].built_in != nullptr ? 1 : 0;
    if (header_.max_lifetime_ns != 0) slot.deadline_ns = slot.started_ns + header_.max_lifetime_ns;
    table_.serve(index);
    greet(arrival.connection.get());
  }
  bool impossible = false;
  const pid_t pid = start(arrival, slot, impossible);
  if (pid < 0) return !impossible && admission::is_shortage(errno) ? Begun::shortage : Begun::impossible;
  arrival.connection.reset();
  pids_.put(pid, index);
  lifetimes_.begun(index);
  ++table_.worker(header_.worker).accepted;
  if (log_start_) {
    ipc::log_connection_started(plan_.string(header_.listener_path), id_of(index), slot);
  }
  return Begun::served;
}

// Before the handler, whose own words must come after. What a fresh connection's buffer has no room for is lost, not
// waited for.
void Connections::greet(int connection) noexcept {
  if (!banner_.empty()) (void)send(connection, banner_.data(), banner_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

pid_t Connections::start(const Arrival& arrival, ipc::Slot& slot, bool& impossible) noexcept {
  const ipc::HandlerKind kind = plan_.handler(arrival.handler).kind;
  if (kind == ipc::HandlerKind::exec) return start_exec(arrival, slot, impossible);
  if (kind == ipc::HandlerKind::module) return start_module(arrival, slot);
  return start_built_in(arrival, slot, impossible);
}

pid_t Connections::start_built_in(const Arrival& arrival, ipc::Slot& slot, bool& impossible) noexcept {
  const ipc::PlanHandler& handler = plan_.handler(arrival.handler);
  const Title title(id_of(arrival.slot), slot.peer, plan_.string(handler.name));
  const child::BuiltIn request{arrival.connection.get(), title.view(), programs_[arrival.handler].built_in->serve,
                               handler.idle_timeout_ns};
  if (!limits_.any()) return child::start_built_in(request, &slot.pid);
  return judge(child::start_limited_built_in(request, limits_, &slot.pid), slot, "", impossible);
}

pid_t Connections::start_module(const Arrival& arrival, ipc::Slot& slot) noexcept {
  const int connection = arrival.connection.get();
  const ipc::PlanHandler& handler = plan_.handler(arrival.handler);
  const Title title(id_of(arrival.slot), slot.peer, plan_.string(handler.name));
  char id[17];
  (void)ipc::hex_text(id_of(arrival.slot), id);
  const ipc::PeerText peer(slot.peer);
  const ipc::PeerText local(slot.local);
  char path[sizeof "unix:" + sizeof sockaddr_un::sun_path] = "unix:";
  std::strncat(path, socket_names_[arrival.socket], sizeof sockaddr_un::sun_path);
  const char* here = slot.local.family == AF_UNIX ? path : local.c_str();
  const child::RemotePath remote_path(connection, slot.peer);
  const auto environment =
      environment_.build(modules_->environment(arrival.handler), facts_of(arrival, slot, remote_path));
  return modules_->start(
      arrival.handler, arrival.slot,
      {connection, title.view(), id, peer.c_str(), here, environment.variables, handler.socket_as_error != 0,
       limits_.any() || limits_.soft_descriptors != 0 ? &limits_ : nullptr},
      &slot.pid);
}

// Four fifths full without the one that asks, or somebody waits already: time to be brief, before clients are refused.
bool Connections::under_stress() noexcept {
  const std::uint64_t others = std::max(table_.counts().used, 1U) - 1;
  return table_.somebody_waits() || others * 5 >= std::uint64_t{table_.capacity()} * 4;
}

child::ConnectionFacts Connections::facts_of(const Arrival& arrival, const ipc::Slot& slot,
                                             const child::RemotePath& remote_path) noexcept {
  child::ConnectionFacts facts{slot.peer,
                               slot.local,
                               socket_names_[arrival.socket],
                               remote_path.view(),
                               plan_.string(header_.listener_path),
                               id_of(arrival.slot),
                               slot.generation};
  facts.stress = under_stress();
  facts.deadline_s = seconds_until(slot.deadline_ns);
  facts.source_connections = arrival.source_connections;
  if (!arrival.header.empty()) facts.proxy = {arrival.header, arrival.transport, own_local(arrival)};
  return facts;
}

pid_t Connections::start_exec(const Arrival& arrival, ipc::Slot& slot, bool& impossible) noexcept {
  const ipc::PlanHandler& handler = plan_.handler(arrival.handler);
  const Program& program = programs_[arrival.handler];
  const int connection = arrival.connection.get();
  const child::RemotePath remote_path(connection, slot.peer);
  child::ConnectionFacts facts = facts_of(arrival, slot, remote_path);
  facts.listen_fds = handler.style == ipc::HandlerStyle::listen_fds;
  const bool told = handler.drain_notice != 0;
  if (told) facts.drain_fd = static_cast<std::uint32_t>(child::place_of_drain_notice(handler.style));
  const auto environment = environment_.build(program.environment.data(), facts);
  const child::Exec request{connection,
                            handler_error_fd_,
                            handler.style,
                            handler.socket_as_error != 0,
                            program.argv.data(),
                            environment.variables,
                            environment.pid_field,
                            &limits_,
                            told ? ipc::drain_fd(header_) : -1};
  return judge(child::start_exec(request, &slot.pid), slot, program.argv[0], impossible);
}

// The pid of a child that serves; else -1, with errno, or `impossible`.
pid_t Connections::judge(const child::Started& started, ipc::Slot& slot, const char* program,
                         bool& impossible) noexcept {
  const ipc::Failure& failure = started.failure;
  if (started.pid < 0) {
    errno = failure.error;
    return -1;
  }
  if (!failure) return started.pid;
  while (waitpid(started.pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  slot.pid = 0;
  impossible = true;
  if (start_failures_.allow(sys::monotonic_ns())) {
    log::Line line(log::Level::error, plan_.string(header_.listener_path));
    line.text("a connection was refused: ").text(ipc::stage_text(failure.stage));
    if (failure.stage == ipc::Stage::exec) line.text(" ").text(program);
    line.text(" failed: ").text(strerrordesc_np(failure.error));
    const ipc::PeerText peer(slot.peer);
    line.field("peer", peer.view()).field("errno", strerrorname_np(failure.error));
    if (const std::uint64_t more = start_failures_.take_suppressed(); more != 0) {
      line.field("suppressed", static_cast<std::int64_t>(more));
    }
    line.write();
  }
  return -1;
}

void Connections::release(std::uint32_t slot) noexcept {
  ring(table_.release(slot));
}

bool Connections::reap() noexcept {
  bool any = false;
  if (few()) {
    while (reap_one(kAny)) any = true;
    return any;
  }
  std::size_t at = 0;
  while (const pid_t pid = pids_.next(at)) {
    if (reap_one(pid)) {
      any = true;
    } else {
      ++at;
    }
  }
  return any;
}

bool Connections::reap_one(pid_t which) noexcept {
  int status = 0;
  rusage usage{};
  if (executes_) {
    siginfo_t peek{};
    const bool any = which == kAny;
    const int found =
        waitid(any ? P_ALL : P_PID, any ? 0 : static_cast<id_t>(which), &peek, WEXITED | WNOHANG | WNOWAIT);
    if (found != 0 || peek.si_pid == 0) return false;
    const pid_t pid = peek.si_pid;
    if (before_reap_) before_reap_();
    const bool group = header_.kill_group != 0;
    if (group) {
      // What a handler left behind is asked to end while the zombie still holds the number of the group.
      sys::signal_group(pid, SIGTERM);
      sys::signal_group(pid, SIGCONT);
    }
    if (wait4(pid, &status, 0, &usage) != pid) return false;
    ended(pid, status, usage, group && kill(-pid, 0) == 0);
    return true;
  }
  // Raw, because "no child left" is the usual answer and errno's page would have to be copied for it after each fork.
  const long pid = sys::raw(SYS_wait4, which, sys::raw_pointer(&status), WNOHANG, sys::raw_pointer(&usage));
  if (pid <= 0) return false;
  ended(static_cast<pid_t>(pid), status, usage, false);
  return true;
}

void Connections::ended(pid_t pid, int status, const rusage& usage, bool group_lives) noexcept {
  const std::uint32_t index = pids_.take(pid);
  if (index == kNoEntry) return;
  lifetimes_.ended(index);
  const ipc::Slot slot = table_.slot(index);
  const std::uint64_t id = id_of(index);
  const ipc::Ended how{
      true, status, slot.asked != 0, slot.lifetime != ipc::Lifetime::going_on, slot.built_in != 0, header_.normal_exit};
  const std::int64_t now = sys::monotonic_ns();
  const bool crashed = ipc::is_crash(how);
  if (sources_.asks()) sources_.ended(index, slot, how, now);
  if (group_lives) {
    table_.linger(index, crashed, now + header_.shutdown_ns);
    lingering_.push_back(index);
    if (on_lingering_) on_lingering_();
  } else {
    ring(table_.end(index, crashed));
  }
  if (on_output_end_) on_output_end_(id);
  // Crashes are always told; the rest as `log.connections` wants it.
  if (crashed || log_end_) {
    ipc::log_connection_ended(plan_.string(header_.listener_path), id, slot, how, now);
  }
  if (crashed) report_crash(index, slot, status, usage, now);
}

void Connections::report_crash(std::uint32_t index, const ipc::Slot& slot, int status, const rusage& usage,
                               std::int64_t now) noexcept {
  if (now - crash_window_ns_ > 1'000'000'000) {
    crash_window_ns_ = now;
    crashes_in_window_ = 0;
  }
  if (++crashes_in_window_ > kCrashReportsPerSecond) {
    ++crashes_unreported_;
    return;
  }
  ipc::Crash message;
  message.slot = index;
  message.use = slot.use;
  message.pid = slot.pid;
  message.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  message.core = WCOREDUMP(status) ? 1 : 0;
  message.status = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
  message.age_ns = now - slot.started_ns;
  message.omitted = crashes_unreported_;
  message.user_us = std::int64_t{usage.ru_utime.tv_sec} * 1'000'000 + usage.ru_utime.tv_usec;
  message.system_us = std::int64_t{usage.ru_stime.tv_sec} * 1'000'000 + usage.ru_stime.tv_usec;
  message.max_rss_kb = usage.ru_maxrss;
  if (ipc::send(channel_, message)) crashes_unreported_ = 0;
}

void Connections::sweep_lingering(std::int64_t now_ns) noexcept {
  std::erase_if(lingering_, [this, now_ns](std::uint32_t index) {
    const ipc::Slot& slot = table_.slot(index);
    if (sys::end_left_over(slot.pid, now_ns >= slot.deadline_ns) == sys::LeftoverGroup::alive) return false;
    ring(table_.finish(index));
    return true;
  });
}

std::uint32_t Connections::signal(std::uint32_t wanted, std::uint32_t use, int signal) noexcept {
  const bool all = wanted == ipc::kAllSlots;
  const std::uint32_t first = all ? 0 : wanted;
  const std::uint32_t end = all ? table_.high_water() : wanted + 1;
  std::uint32_t count = 0;
  for (std::uint32_t index = first; index < end && index < table_.room(); ++index) {
    ipc::Slot& slot = table_.slot(index);
    const bool ours = slot.owner == header_.run && slot.state == ipc::SlotState::serving && slot.pid > 1;
    if (!ours || (!all && slot.use != use)) continue;
    slot.asked = 1;
    if (sys::signal_child(slot.pid, signal, header_.kill_group != 0)) ++count;
    if (signal == SIGTERM) sys::signal_child(slot.pid, SIGCONT, header_.kill_group != 0);
  }
  return count;
}

}  // namespace bulkhead::worker
