#include "master/control/server.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <tuple>
#include <utility>

#include "worker/sys/clock.h"

namespace bulkhead::control {

namespace {

using namespace std::chrono_literals;

constexpr int kAcceptsPerTurn = 16;

// The order in which clients are closed when there is no room: idle clients before followers before clients that wait
// for an answer; among equals, the one that has been silent longest first.
auto worth(const ClientConnection& client) {
  return std::make_tuple(client.busy(), client.follows(), client.active());
}

}  // namespace

Server::Server(loop::Loop& loop, journal::EventRing& events, journal::Memory& lines, Backend& backend, Clock clock)
    : world_(std::make_shared<ClientConnection::World>(
          ClientConnection::World{loop, events, backend, [this] { want_turn(); }})),
      events_(events),
      lines_(lines),
      clock_(std::move(clock)),
      turn_(loop, [this] { turn(); }),
      tick_(loop, [this] { tick(); }),
      pause_(loop, [this] { accepting_->start(); }) {}

Server::~Server() {
  close();
}

std::optional<sys::Error> Server::open(const config::Control& config) {
  auto opened = open_control_socket(config);
  if (!opened) return opened.error();
  serve(std::move(*opened), config);
  log::Line(log::Level::info, "control").text("listening").field("socket", socket_.file.path()).write();
  return std::nullopt;
}

void Server::serve(ControlSocket socket, const config::Control& config) {
  config_ = config;
  listen_at(std::move(socket));
  events_.on_event = [this](const journal::EventRecord& record) {
    for (const Client& client : clients_) client->published(record);
  };
  lines_.on_kept = [this] {
    for (const Client& client : clients_) client->logged();
  };
}

void Server::listen_at(ControlSocket socket) {
  accepting_.reset();
  socket_ = std::move(socket);
  accepting_ = std::make_unique<loop::Poll>(world_->loop, socket_.fd.get(), [this] { on_new_clients(); });
  accepting_->start();
}

void Server::look() {
  if (!accepting_ || clock_() < next_look_ || listens(socket_)) return;
  auto opened = open_control_socket(config_);
  if (!opened) return on_lost(opened.error());
  while (accept_one()) {
  }
  listen_at(std::move(*opened));
  told_of_loss_ = -1;
  look_pause_ = 1s;
  log::Line(log::Level::warning, "control")
      .text("the socket's file was gone, or the socket was shut down: listening again")
      .field("socket", socket_.file.path())
      .write();
}

void Server::look_again() {
  next_look_ = {};
  look();
}

// To look whether another program listens there, it must connect. So the pauses between two looks grow.
void Server::on_lost(const sys::Error& error) {
  next_look_ = clock_() + look_pause_;
  look_pause_ = std::min<std::chrono::seconds>(look_pause_ * 2, 30s);
  if (std::exchange(told_of_loss_, error.code) == error.code) return;
  log::Line(log::Level::error, "control")
      .text("the socket's file is gone, or the socket was shut down, and it cannot be bound again: ")
      .text(error.text())
      .write();
}

bool Server::is_answering() const {
  return std::ranges::any_of(clients_, [](const Client& client) { return client->is_answered(); });
}

upgrade::ServerHandover Server::hand_over() const {
  upgrade::ServerHandover out{socket_.fd.get(), socket_.file.path(), socket_.file.device(), socket_.file.inode(), {}};
  for (const Client& client : clients_) {
    if (auto one = client->hand_over()) out.clients.push_back(std::move(*one));
  }
  return out;
}

std::vector<Unanswered> Server::resume(const config::Control& config, const upgrade::ServerHandover& from) {
  ControlSocket socket;
  socket.fd.reset(from.fd);
  socket.file = net::SocketFile(from.file, from.device, from.inode);
  serve(std::move(socket), config);
  std::vector<Unanswered> out;
  for (const upgrade::ClientHandover& one : from.clients) {
    Peer peer;
    (void)admit(one.fd, config_.group, peer);  // it was admitted before; this only fills in `peer`
    const auto client = add(sys::Fd(one.fd), peer);
    if (auto call = client->resume(one)) out.push_back(std::move(*call));
    if (client->start() != 0) client->start_later();
  }
  return out;
}

std::shared_ptr<ClientConnection> Server::add(sys::Fd fd, const Peer& peer) {
  if (!std::exchange(ticking_, true)) tick_.start(1s, 1s);
  return clients_.emplace_back(std::make_shared<ClientConnection>(world_, std::move(fd), peer));
}

void Server::close() noexcept {
  if (!accepting_) return;
  events_.on_event = nullptr;
  lines_.on_kept = nullptr;
  world_->closed = true;
  world_->want_turn = [] {};
  for (const Client& client : clients_) client->finish();
  clients_.clear();
  turn_.stop();
  tick_.stop();
  pause_.stop();
  accepting_.reset();
  socket_.file.remove();
  socket_.fd.reset();
}

void Server::on_new_clients() {
  for (int i = 0; i < kAcceptsPerTurn && accept_one(); ++i) {
  }
}

bool Server::accept_one() {
  sys::Fd fd(accept4(socket_.fd.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd) {
    const int error = errno;
    if (error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS) pause_accepting(error);
    if (error == EINVAL) accepting_->stop();  // it was shut down: look() makes another one
    return error == ECONNABORTED || error == EINTR;
  }
  Peer peer;
  if (!admit(fd.get(), config_.group, peer)) {
    turn_away(fd.get(), peer);
    return true;
  }
  make_room();
  const auto client = add(std::move(fd), peer);
  const int error = client->start();
  if (error == 0) return true;
  client->turn_away(error);
  want_turn();
  tell_of_shortage("epoll_ctl", error);
  return true;
}

void Server::tell_of_shortage(const char* operation, int error) {
  if (!shortages_.allow(sys::monotonic_ns())) return;
  log::Line(log::Level::error, "control").text(sys::Error{operation, socket_.file.path(), error}.text()).write();
}

void Server::turn_away(int fd, const Peer& peer) {
  const std::string line = protocol::error_line(nullptr, {protocol::kNotPermitted, "permission denied", {}});
  (void)!send(fd, line.data(), line.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (!strangers_.allow(sys::monotonic_ns())) return;
  log::Line(log::Level::warning, "control")
      .text("refused a client that is neither root, nor the daemon's user, nor in control.group")
      .field("uid", peer.uid)
      .field("gid", peer.gid)
      .field("client_pid", peer.pid)
      .field("suppressed", static_cast<std::int64_t>(strangers_.take_suppressed()))
      .write();
}

void Server::make_room() {
  const auto living = std::count_if(clients_.begin(), clients_.end(), [](const Client& c) { return !c->dead(); });
  if (static_cast<std::size_t>(living) < kMaxClients) return;
  const auto last = std::min_element(clients_.begin(), clients_.end(), [](const Client& a, const Client& b) {
    return std::make_tuple(a->dead(), worth(*a)) < std::make_tuple(b->dead(), worth(*b));
  });
  (*last)->drop();
  want_turn();
  if (!evictions_.allow(sys::monotonic_ns())) return;
  log::Line(log::Level::warning, "control")
      .text("too many clients: closed the connection that has been idle longest")
      .field("max_clients", static_cast<std::int64_t>(kMaxClients))
      .field("uid", (*last)->peer().uid)
      .field("client_pid", (*last)->peer().pid)
      .field("suppressed", static_cast<std::int64_t>(evictions_.take_suppressed()))
      .write();
}

// The new client stays in the queue and the descriptor readable: without a pause the loop would only spin.
void Server::pause_accepting(int error) {
  accepting_->stop();
  pause_.start(100ms);
  tell_of_shortage("accept", error);
}

// Called outside of all callbacks of clients, so that clients may be destroyed here.
void Server::turn() {
  turn_wanted_ = false;
  // Copies, because a request may end the daemon, and with it this server.
  const auto world = world_;
  const auto clients = clients_;
  for (const Client& client : clients) client->turn();
  if (world->closed) return;
  std::erase_if(clients_, [](const Client& client) { return client->dead(); });
  if (clients_.empty() && std::exchange(ticking_, false)) tick_.stop();
}

void Server::tick() {
  const supervision::Instant now = clock_();
  for (const Client& client : clients_) client->look_at_the_clock(now, kIdleTimeout);
}

// A millisecond is the shortest delay that lets the loop handle other events in between.
void Server::want_turn() {
  if (!std::exchange(turn_wanted_, true)) turn_.start(1ms);
}

}  // namespace bulkhead::control
