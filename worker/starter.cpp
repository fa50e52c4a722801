#include "worker/starter.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "worker/confine/walls.h"
#include "worker/connection_title.h"
#include "worker/ipc/connection_log.h"
#include "worker/ipc/tcp_look.h"
#include "worker/sys/clock.h"
#include "worker/sys/shortage.h"

namespace bulkhead::worker {

namespace {

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

// A title is as public as the log.
log::Addresses shown_addresses() noexcept {
  return log::own().settings().addresses;
}

// Rounded up; 0 where there is no deadline. One that has just passed is a second away: the program still has to read
// it.
std::uint32_t seconds_until(std::int64_t deadline_ns) noexcept {
  constexpr std::int64_t kSecond = 1'000'000'000;
  if (deadline_ns == 0) return 0;
  const std::int64_t left = (deadline_ns - sys::monotonic_ns() + kSecond - 1) / kSecond;
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(left, 1, UINT32_MAX));
}

void reap_failed_child(pid_t pid) noexcept {
  while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace

Starter::Starter(const ipc::Plan& plan, ipc::Table& table, int handler_error_fd, modules::Modules* modules)
    : plan_(plan),
      header_(plan.header()),
      table_(table),
      handler_error_fd_(handler_error_fd),
      modules_(modules),
      limits_(confine::limits_of(header_.confinement)),
      rules_(plan.array<ipc::PlanRule>(header_.rule_list)),
      socket_names_(plan.vector(header_.socket_names)),
      banner_(plan.string(header_.banner)),
      environment_(largest_environment(header_)) {
  prepare_walls();
  environment_.leave_out(plan.vector(header_.left_out));
  for (std::uint32_t i = 0; i < header_.handler_count; ++i) {
    const ipc::PlanHandler& handler = plan.handler(i);
    const bool built_in = handler.kind == ipc::HandlerKind::built_in;
    executes_ = executes_ || !built_in;
    programs_.push_back({built_in ? handlers::find_built_in(plan.string(handler.name)) : nullptr,
                         plan.vector(handler.argv), plan.vector(handler.environment)});
  }
}

void Starter::prepare_walls() {
  const ipc::Confinement& confinement = header_.confinement;
  readable_ = plan_.vector(header_.sandbox.read);
  writable_ = plan_.vector(header_.sandbox.write);
  executable_ = plan_.vector(header_.sandbox.execute);
  reach_ = {{readable_.data(), writable_.data(), executable_.data(), header_.sandbox.others_readable != 0, 0},
            {plan_.array<std::uint16_t>(header_.sandbox.connect), plan_.array<std::uint16_t>(header_.sandbox.bind)}};
  walls_ = confine::prepare_walls(confinement, scopes_connections(), &reach_);
  own_files_ = confinement.restricts_files != 0 && (confinement.spaces & ipc::kMountingSpaces) != 0;
  reach_.files.own = confinement.spaces;
  limits_.walls = walls_.get();
  confine::keep_filter(plan_.array<sock_filter>(header_.sandbox.of_child), limits_);
}

bool Starter::scopes_connections() const noexcept {
  return header_.confinement.scope_of == ipc::ScopeOf::connection;
}

Starter::Result Starter::start(const Arrival& arrival) noexcept {
  ipc::Slot& slot = table_.slot(arrival.slot);
  if (slot.state == ipc::SlotState::claimed) {
    enter(arrival, slot);
    greet(arrival.connection.get());
  }
  const child::Started started = start_handler(arrival, slot);
  const ipc::Failure& failure = started.failure;
  if (started.pid < 0) {
    errno = failure.error;
    return {sys::is_shortage(failure.error) ? Begun::shortage : Begun::impossible, -1};
  }
  if (!failure) return {Begun::served, started.pid};
  reap_failed_child(started.pid);
  slot.pid = 0;
  log_failure(arrival, slot, failure);
  return {Begun::impossible, -1};
}

void Starter::enter(const Arrival& arrival, ipc::Slot& slot) noexcept {
  slot.peer = arrival.client;
  const bool claimed = arrival.local.family != AF_UNSPEC;
  slot.local = claimed ? arrival.local : own_local(arrival);
  slot.real_peer = claimed ? arrival.transport : ipc::Peer{};
  slot.started_ns = sys::monotonic_ns();
  slot.generation = header_.generation;
  slot.handler = static_cast<std::uint16_t>(arrival.handler);
  slot.built_in = programs_[arrival.handler].built_in != nullptr ? 1 : 0;
  note_times(arrival, slot);
  const bool looked_at = slot.first_byte_ns != 0 || header_.on_client_gone != ipc::OnClientGone::leave ||
                         header_.on_full == ipc::OnFull::drop_oldest_idle;
  if (slot.built_in == 0 || looked_at || header_.count_bytes != 0) note_socket(arrival, slot);
  table_.serve(arrival.slot);
}

const ipc::PlanTimes& Starter::times_of(const Arrival& arrival) const noexcept {
  return arrival.rule < rules_.size() ? rules_[arrival.rule].times : header_.times;
}

// A built-in looks itself whether its client is idle.
void Starter::note_times(const Arrival& arrival, ipc::Slot& slot) noexcept {
  const ipc::PlanTimes& times = times_of(arrival);
  if (times.max_lifetime_ns != 0) slot.deadline_ns = slot.started_ns + times.max_lifetime_ns;
  if (slot.built_in == 0) slot.idle_timeout_ns = times.idle_timeout_ns;
  slot.first_byte_ns = times.first_byte_ns;
}

// By this the socket is found when the worker has no descriptor of it any more (worker/ipc/tcp_look.h).
void Starter::note_socket(const Arrival& arrival, ipc::Slot& slot) noexcept {
  const int connection = arrival.connection.get();
  slot.cookie = ipc::tcp_cookie(connection);
  if (slot.cookie == 0) return;
  slot.real_local = slot.real_peer.family == AF_UNSPEC ? ipc::SocketEnd{} : ipc::socket_end(own_local(arrival));
  slot.header = static_cast<std::uint32_t>(arrival.header.size());
  slot.device = ipc::device_of(connection);
}

// Where the connection arrived, whatever a balancer says.
ipc::Peer Starter::own_local(const Arrival& arrival) const noexcept {
  const bool any = header_.wildcard[arrival.socket] != 0;
  return any ? local_of(arrival.connection.get()) : header_.local[arrival.socket];
}

// Before the handler starts, because its output must follow. Bytes that do not fit into the fresh connection's buffer
// are lost: we do not wait for the client to read.
void Starter::greet(int connection) noexcept {
  if (!banner_.empty()) (void)send(connection, banner_.data(), banner_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

child::Started Starter::start_handler(const Arrival& arrival, ipc::Slot& slot) noexcept {
  switch (plan_.handler(arrival.handler).kind) {
    case ipc::HandlerKind::exec: return start_exec(arrival, slot);
    case ipc::HandlerKind::module: return start_module(arrival, slot);
    default: return start_built_in(arrival, slot);
  }
}

child::Started Starter::start_built_in(const Arrival& arrival, ipc::Slot& slot) noexcept {
  const ipc::PlanHandler& handler = plan_.handler(arrival.handler);
  const ConnectionTitle title(id_of(arrival), slot.peer, plan_.string(handler.name), shown_addresses());
  const child::BuiltIn request{arrival.connection.get(), title.view(), programs_[arrival.handler].built_in->serve,
                               times_of(arrival).idle_timeout_ns, limits_.walls};
  return limits_.any() ? child::start_limited_built_in(request, limits_, &slot.pid)
                       : child::start_built_in(request, &slot.pid);
}

child::Started Starter::start_exec(const Arrival& arrival, ipc::Slot& slot) noexcept {
  const ipc::PlanHandler& handler = plan_.handler(arrival.handler);
  const Program& program = programs_[arrival.handler];
  const int connection = arrival.connection.get();
  const child::RemotePath remote_path(connection, slot.peer);
  child::ConnectionFacts facts = facts_of(arrival, slot, remote_path);
  facts.listen_fds = handler.style == ipc::HandlerStyle::listen_fds;
  const bool drain_notice = handler.drain_notice != 0;
  if (drain_notice) facts.drain_fd = static_cast<std::uint32_t>(child::place_of_drain_notice(handler.style));
  const auto environment = environment_.build(program.environment.data(), facts);
  const bool inside = (header_.confinement.spaces & ipc::kPrivatePids) != 0;
  const ConnectionTitle title(id_of(arrival), slot.peer, plan_.string(handler.name), shown_addresses());
  const child::Exec request{connection,
                            handler_error_fd_,
                            handler.style,
                            handler.socket_as_error != 0,
                            program.argv.front(),
                            program.argv.data() + 1,
                            environment.variables,
                            environment.pid_field,
                            &limits_,
                            drain_notice ? ipc::drain_fd(header_) : -1,
                            header_.confinement.spaces,
                            own_files_ ? &reach_ : nullptr,
                            &header_.confinement,
                            scopes_connections(),
                            header_.kill_group != 0,
                            title.view()};
  return inside ? child::start_exec_inside(request, &slot.pid) : child::start_exec(request, &slot.pid);
}

child::Started Starter::start_module(const Arrival& arrival, ipc::Slot& slot) noexcept {
  const int connection = arrival.connection.get();
  const ipc::PlanHandler& handler = plan_.handler(arrival.handler);
  const ConnectionTitle title(id_of(arrival), slot.peer, plan_.string(handler.name), shown_addresses());
  char id[17];
  (void)ipc::hex_text(id_of(arrival), id);
  const ipc::PeerText peer(slot.peer);
  const ipc::PeerText local(slot.local);
  char path[sizeof "unix:" + sizeof sockaddr_un::sun_path] = "unix:";
  std::strncat(path, socket_names_[arrival.socket], sizeof sockaddr_un::sun_path);
  const char* here = slot.local.family == AF_UNIX ? path : local.c_str();
  const child::RemotePath remote_path(connection, slot.peer);
  const auto environment =
      environment_.build(modules_->environment(arrival.handler), facts_of(arrival, slot, remote_path));
  const pid_t pid = modules_->start(
      arrival.handler, arrival.slot,
      {connection, title.view(), id, peer.c_str(), here, environment.variables, handler.socket_as_error != 0, &limits_},
      &slot.pid);
  return {pid, {ipc::Stage::none, pid < 0 ? errno : 0}};
}

void Starter::log_failure(const Arrival& arrival, const ipc::Slot& slot, const ipc::Failure& failure) noexcept {
  if (!start_failures_.allow(sys::monotonic_ns())) return;
  log::Line line(log::Level::error, plan_.string(header_.listener_path));
  line.text("refused a connection: ").text(ipc::stage_text(failure.stage));
  if (failure.stage == ipc::Stage::exec) line.text(" ").text(programs_[arrival.handler].argv[0]);
  line.text(" failed: ").text(strerrordesc_np(failure.error));
  ipc::add_event(line, ipc::ConnectionEvent::refused);
  ipc::add_peer(line, "peer", slot.peer);
  line.field("errno", strerrorname_np(failure.error));
  if (const std::uint64_t more = start_failures_.take_suppressed(); more != 0) {
    line.field("suppressed", static_cast<std::int64_t>(more));
  }
  line.write();
}

// Four fifths full without this connection, or a client waits already: the handler should be brief, before clients are
// refused.
bool Starter::under_stress() noexcept {
  const std::uint64_t others = std::max(table_.counts().used, 1U) - 1;
  return table_.somebody_waits() || others * 5 >= std::uint64_t{table_.capacity()} * 4;
}

child::ConnectionFacts Starter::facts_of(const Arrival& arrival, const ipc::Slot& slot,
                                         const child::RemotePath& remote_path) noexcept {
  child::ConnectionFacts facts{slot.peer,
                               slot.local,
                               socket_names_[arrival.socket],
                               remote_path.view(),
                               plan_.string(header_.listener_path),
                               id_of(arrival),
                               slot.generation};
  facts.stress = under_stress();
  facts.deadline_s = seconds_until(slot.deadline_ns);
  facts.source_connections = arrival.source_connections;
  if (!arrival.header.empty()) facts.proxy = {arrival.header, arrival.transport, own_local(arrival)};
  return facts;
}

std::uint64_t Starter::id_of(const Arrival& arrival) noexcept {
  return ipc::connection_id(table_.slot(arrival.slot).use, header_.listener, arrival.slot);
}

}  // namespace bulkhead::worker
