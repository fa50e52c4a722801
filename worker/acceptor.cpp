#include "worker/acceptor.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "worker/admission/accept_error.h"
#include "worker/ipc/channel.h"
#include "worker/log/log.h"
#include "worker/sys/clock.h"
#include "worker/sys/hops.h"
#include "worker/sys/shut_down.h"

namespace bulkhead::worker {

namespace {

// How long an accepted connection waits for a process before it is refused: short enough that its client, or the
// balancer in front of it, can still go elsewhere.
constexpr std::int64_t kPendingLimit = 400'000'000;
constexpr std::int64_t kAlive = 2'500'000'000;       // a worker's heartbeat is once a second
constexpr std::chrono::milliseconds kFullPoll(100);  // in case the worker that would ring the bell has died

ipc::Peer unix_peer(int connection) noexcept {
  ipc::Peer peer;
  peer.family = AF_UNIX;
  ucred credentials{};
  socklen_t length = sizeof credentials;
  if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &credentials, &length) == 0) {
    peer.uid = credentials.uid;
    peer.gid = credentials.gid;
    peer.pid = credentials.pid;
  }
  return peer;
}

}  // namespace

Acceptor::Acceptor(loop::Loop& loop, const ipc::Plan& plan, ipc::Table& table, Connections& connections,
                   Reception& reception, int channel, int bell, std::vector<sys::Fd> sockets, Observer observer)
    : header_(plan.header()),
      path_(plan.string(header_.listener_path)),
      table_(table),
      connections_(connections),
      reception_(reception),
      channel_(channel),
      bell_(bell),
      loop_(loop),
      bell_poll_(loop, bell, [this] { on_bell(); }),
      retry_(loop, [this] { look_again(); }),
      observer_(std::move(observer)),
      gate_(
          loop, plan, reception, [this](Arrival arrival) { admit(std::move(arrival)); }, [this] { on_header_gone(); }),
      last_chance_(loop, [this] { give_up(); }),
      aside_(loop, [this] { after_stepping_aside(); }) {
  for (std::uint32_t i = 0; i < sockets.size(); ++i) {
    sockets_.push_back({std::move(sockets[i]), i});
    watch(i);
  }
}

void Acceptor::watch(std::uint32_t socket) {
  sockets_[socket].poll = std::make_unique<loop::Poll>(loop_, sockets_[socket].fd.get(), [this, socket](int events) {
    on_readable(socket, (events & UV_DISCONNECT) != 0);
  });
}

// A Unix socket that was shut down says so only by the hang-up: accept(2) finds no connection, as ever.
void Acceptor::set_polls(bool on) {
  for (const Socket& socket : sockets_) {
    if (socket.poll != nullptr) socket.poll->watch(on ? UV_READABLE | UV_DISCONNECT : 0);
  }
}

void Acceptor::start() {
  started_ = true;
  set_polls(accepting());
}

void Acceptor::suspend() {
  suspended_ = true;
  set_polls(false);
}

void Acceptor::resume() {
  suspended_ = false;
  set_polls(accepting());
  empty_replaced();
}

void Acceptor::hold() {
  if (on_drained_) return;
  held_ = true;
  set_polls(false);
}

void Acceptor::on_readable(std::uint32_t socket, bool hung_up) {
  if (!accepting() || !sockets_[socket].fd || (!sockets_[socket].replaced && step_aside())) return;
  Arrival arrival;
  arrival.socket = sockets_[socket].of;
  // The slot comes first: a connection that cannot be served stays in the kernel's queue, where it is not lost.
  if (reception_.queues() && !gate_.on()) {
    if (const Received why = reception_.claim(arrival); why != Received::done) return pause_for(why);
  }
  if (accept(socket, arrival)) return receive(std::move(arrival));
  if (hung_up && errno == EAGAIN) on_dead(socket, 0);
}

// False: errno says why.
bool Acceptor::accept(std::uint32_t socket, Arrival& arrival) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  arrival.connection.reset(
      accept4(sockets_[socket].fd.get(), reinterpret_cast<sockaddr*>(&address), &length, SOCK_CLOEXEC));
  if (!arrival.connection) {
    const int error = errno;
    if (arrival.slot != ipc::kNoSlot) reception_.release(arrival.slot);
    on_accept_error(socket, error);
    errno = error;
    return false;
  }
  const bool internet = address.ss_family == AF_INET || address.ss_family == AF_INET6;
  if (internet) (void)sys::require_hop_limit(arrival.connection.get(), address.ss_family, sys::kAnyHops);
  arrival.transport = internet ? ipc::peer_of(address) : unix_peer(arrival.connection.get());
  arrival.client = arrival.transport;
  return true;
}

void Acceptor::receive(Arrival arrival) {
  if (!reception_.arrived(arrival)) return;
  if (!gate_.on()) return admit(std::move(arrival));
  gate_.receive(std::move(arrival));
  if (gate_.full() && !paused_) pause(ipc::PauseReason::headers, 0);
}

// A header and a descriptor are free again.
void Acceptor::on_header_gone() {
  if (paused_ && pending_.empty()) look_again();
  tell_if_idle();
}

void Acceptor::tell_if_idle() {
  if (in_hand() != 0) return;
  tell_if_drained();
  observer_.on_idle();
}

void Acceptor::tell_if_drained() {
  if (on_drained_ && all_closed()) on_drained_(in_hand());
}

void Acceptor::admit(Arrival arrival) {
  if (!pending_.empty()) {
    pending_.push_back({std::move(arrival), pending_.front().why, sys::monotonic_ns()});
    return;
  }
  const Received received = reception_.admit(arrival);
  if (received == Received::done) {
    backoff_.reset();
    connections_.reap_along();
    return;
  }
  const int error = errno;
  pending_.push_back({std::move(arrival), received, sys::monotonic_ns()});
  errno = error;
  pause_for(received);
}

void Acceptor::pause_for(Received why) {
  pause(pause_row(why).reason, why == Received::shortage ? errno : 0);
}

std::uint64_t Acceptor::taken_by_others() const {
  std::uint64_t sum = 0;
  for (const std::uint32_t index : others_) sum += table_.worker(index).accepted;
  return sum;
}

// A client waits, and this worker has taken more than its share: the others get a moment.
bool Acceptor::step_aside() {
  const std::uint64_t mine = table_.worker(header_.worker).accepted;
  const std::uint64_t theirs = taken_by_others();
  if (on_drained_ || !share_.ahead(mine, theirs, static_cast<std::uint32_t>(others_.size()))) return false;
  theirs_before_ = theirs;
  set_polls(false);
  aside_.start(std::chrono::nanoseconds(share_.step_aside()));
  return true;
}

void Acceptor::after_stepping_aside() {
  if (taken_by_others() == theirs_before_) {
    share_.in_vain(table_.worker(header_.worker).accepted, theirs_before_);
  } else {
    share_.others_came();
  }
  set_polls(accepting());
}

void Acceptor::on_accept_error(std::uint32_t socket, int error) {
  switch (admission::judge_accept_error(error)) {
    case admission::AcceptVerdict::empty:
      ++table_.worker(header_.worker).empty_accepts;
      if (on_drained_ || sockets_[socket].replaced) close_socket(socket);
      break;
    case admission::AcceptVerdict::retry: break;  // level-triggered: the next turn tries again
    case admission::AcceptVerdict::pause: pause(ipc::PauseReason::accept_error, error); break;
    case admission::AcceptVerdict::dead:  // the master repairs no socket that still listens
      if (!sys::is_shut_down(sockets_[socket].fd.get())) return observer_.on_broken(error);
      on_dead(socket, error);
      break;
    case admission::AcceptVerdict::broken: observer_.on_broken(error); break;
  }
}

// Any process that has it can shut it down (shutdown(2)), so nothing is wrong with this worker.
void Acceptor::on_dead(std::uint32_t socket, int error) {
  Socket& dead = sockets_[socket];
  if (!dead.fd) return;
  if (on_drained_ || dead.replaced) return close_socket(socket);
  if (!dead.poll) return;
  dead.poll.reset();
  (void)ipc::send(channel_, ipc::Paused{ipc::PauseReason::socket, error});
}

void Acceptor::replace(std::uint32_t number, sys::Fd socket) {
  const std::uint32_t* const numbers = header_.socket_numbers;
  const auto at = static_cast<std::uint32_t>(std::find(numbers, numbers + header_.sockets, number) - numbers);
  if (at >= sockets_.size() || at == header_.sockets || on_drained_) return;
  while (sockets_.size() > header_.sockets && !sockets_.back().fd) sockets_.pop_back();
  const bool was_dead = !sockets_[at].poll;
  sockets_.push_back({std::exchange(sockets_[at].fd, std::move(socket)), at, true});
  watch(static_cast<std::uint32_t>(sockets_.size() - 1));
  watch(at);
  set_polls(accepting());
  empty_replaced();
  if (was_dead) (void)ipc::send(channel_, ipc::Resumed{});
}

void Acceptor::empty_from(std::uint32_t first) {
  for (std::uint32_t i = first; i < sockets_.size(); ++i) {
    while (accepting() && sockets_[i].fd) on_readable(i);
  }
}

void Acceptor::close_socket(std::uint32_t socket) {
  // Out of the epoll set before the close: the master and the other workers keep it open.
  sockets_[socket].poll.reset();
  sockets_[socket].fd.reset();
  tell_if_drained();
}

bool Acceptor::all_closed() const noexcept {
  return std::none_of(sockets_.begin(), sockets_.end(), [](const Socket& socket) { return bool(socket.fd); });
}

void Acceptor::drain(std::function<void(std::size_t)> on_drained) {
  suspended_ = held_ = false;
  on_drained_ = std::move(on_drained);
  if (all_closed()) return tell_if_drained();
  started_ = true;
  set_polls(accepting());
  drain_sockets();
}

// Does not poll: an empty queue, which we wait for, never becomes readable.
void Acceptor::drain_sockets() {
  empty_from(0);
  // Without room no connection can be accepted, so accept() cannot show that a queue is empty.
  for (std::uint32_t i = 0; i < sockets_.size() && paused_ && on_drained_; ++i) {
    if (sockets_[i].fd && !somebody_queues(i)) close_socket(i);
  }
}

bool Acceptor::somebody_queues(std::uint32_t socket) const noexcept {
  pollfd queue{sockets_[socket].fd.get(), POLLIN, 0};
  return ::poll(&queue, 1, 0) != 0 && (queue.revents & POLLIN) != 0;
}

void Acceptor::close() {
  started_ = false;
  retry_pending();
  if (!gate_.on()) give_up_pending();
  if (pending_.empty()) {
    bell_poll_.stop();
    retry_.stop();
  } else {
    last_chance_.start(std::chrono::nanoseconds(header_.proxy.timeout_ns));
  }
  aside_.stop();
  sockets_.clear();
}

void Acceptor::give_up() {
  give_up_pending();
  gate_.give_up();
  tell_if_idle();
}

void Acceptor::pause(ipc::PauseReason reason, int error) {
  paused_ = true;
  last_pause_ns_ = sys::monotonic_ns();
  set_polls(false);
  observer_.on_pause();
  const PauseRow& row = pause_row(reason);
  await(row.end);
  if (!announced_ && !row.before.empty()) announce_pause(row, error);
  most_queued_ = std::max(most_queued_, queued());
}

void Acceptor::await(PauseEnd end) {
  switch (end) {
    case PauseEnd::bell:
      bell_poll_.start();
      retry_.start(kFullPoll);
      break;
    case PauseEnd::window:
      retry_.start(std::chrono::nanoseconds(std::max<std::int64_t>(reception_.until_ns() - last_pause_ns_, 0)));
      break;
    case PauseEnd::backoff: {
      // A client in hand must not wait for as long as those in the queue may.
      const std::int64_t pause = backoff_.next();
      retry_.start(std::chrono::nanoseconds(pending_.empty() ? pause : std::min(pause, admission::Backoff::kFirst)));
      break;
    }
    case PauseEnd::header: retry_.stop(); break;  // each header has its deadline, and its end calls on_header_gone()
    case PauseEnd::socket: break;                 // replace()
  }
}

// Once for a period of trouble, however often it pauses and resumes within it; tick() logs its end.
void Acceptor::announce_pause(const PauseRow& row, int error) {
  announced_ = true;
  announced_reason_ = row.reason;
  announced_ns_ = last_pause_ns_;
  most_queued_ = 0;
  log::Line line(log::Level::warning, path_);
  line.text(row.before);
  if (row.count == PauseCount::max_connections) line.number(table_.capacity());
  if (row.count == PauseCount::header_room) line.number(header_.proxy.room);
  if (row.count == PauseCount::total) line.number(table_.daemon_max());
  line.text(row.after);
  if (error == 0) {
    line.text(": new connections wait in the kernel's queue");
  } else {
    line.text(": ").text(strerrordesc_np(error)).text("; trying again").field("errno", strerrorname_np(error));
  }
  line.write();
  (void)ipc::send(channel_, ipc::Paused{row.reason, error});
}

void Acceptor::unpause() {
  paused_ = false;
  bell_poll_.stop();
  retry_.stop();
  set_polls(accepting());
}

void Acceptor::on_bell() {
  std::uint64_t rings = 0;
  (void)!::read(bell_, &rings, sizeof rings);  // nonblocking; another worker may have been faster
  reception_.answered();
  look_again();
}

void Acceptor::retry_pending() {
  while (!pending_.empty()) {
    Pending& first = pending_.front();
    const Received before = std::exchange(first.why, reception_.admit(first.arrival));
    if (before != first.why) first.since_ns = sys::monotonic_ns();
    const bool impatient = first.why == Received::shortage || (first.why == Received::places && !reception_.queues());
    if (impatient && sys::monotonic_ns() - first.since_ns >= kPendingLimit) {
      reception_.refuse(first.arrival, pause_row(first.why).refusal);
      first.why = Received::done;
    }
    if (first.why != Received::done) return;
    pending_.erase(pending_.begin());
    backoff_.reset();
  }
}

void Acceptor::give_up_pending() {
  for (Pending& pending : pending_) reception_.refuse(pending.arrival, pause_row(pending.why).refusal);
  pending_.clear();
}

void Acceptor::look_again() {
  const bool waited = !pending_.empty();
  if (!started_ && !waited) return;
  retry_pending();
  if (!pending_.empty()) return pause_for(pending_.front().why);
  if (waited) tell_if_idle();
  if (started_ && gate_.full()) return pause(ipc::PauseReason::headers, 0);
  if (paused_) unpause();
  if (on_drained_) return drain_sockets();
  empty_replaced();
}

void Acceptor::tick(std::int64_t now_ns) {
  others_.clear();
  for (std::uint32_t index = 0; index < ipc::kMaxWorkers; ++index) {
    const ipc::WorkerRecord& record = table_.worker(index);
    if (index != header_.worker && record.run != 0 && now_ns - record.heartbeat_ns < kAlive) others_.push_back(index);
  }
  share_.begin(table_.worker(header_.worker).accepted, taken_by_others());
  if (!announced_ || paused_ || now_ns - last_pause_ns_ < 1'000'000'000) return;
  announce_end();
}

void Acceptor::announce_end() {
  announced_ = false;
  log::Line line(log::Level::info, path_);
  line.text("accepting again after ").seconds(last_pause_ns_ - announced_ns_);
  line.field("reason", ipc::kPauseWords.text(announced_reason_));
  line.field_seconds("paused_seconds", last_pause_ns_ - announced_ns_).field("most_queued", most_queued_).write();
  (void)ipc::send(channel_, ipc::Resumed{});
}

// Only TCP tells (tcp(7), TCP_INFO of a listening socket).
std::uint32_t Acceptor::queued() const noexcept {
  std::uint32_t sum = 0;
  for (const Socket& socket : sockets_) {
    tcp_info info{};
    socklen_t length = sizeof info;
    if (socket.fd && getsockopt(socket.fd.get(), IPPROTO_TCP, TCP_INFO, &info, &length) == 0) sum += info.tcpi_unacked;
  }
  return sum;
}

}  // namespace bulkhead::worker
