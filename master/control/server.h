// The control socket: who may connect, how many, and for how long. Runs on the loop thread and never blocks it once
// open() has returned.
//
// Bounds:  max_clients at a time; one more costs the client that has been idle longest its connection, so that many
//          silent clients cannot lock others out. The limits for one client are in client_connection.h.
// Errors:  a lack of descriptors pauses accepting for a moment; no client can end the daemon.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include "master/config/config.h"
#include "master/control/backend.h"
#include "master/control/client_connection.h"
#include "master/control/control_socket.h"
#include "master/host/clock.h"
#include "master/journal/event_ring.h"
#include "master/journal/memory.h"
#include "master/upgrade/clients_handover.h"
#include "worker/log/log.h"
#include "worker/loop/loop.h"
#include "worker/sys/result.h"

namespace bulkhead::control {

class Server {
 public:
  static constexpr std::size_t kMaxClients = 64;
  static constexpr std::chrono::seconds kIdleTimeout{30};

  // All must outlive it. It is the one observer of the ring and of the memory, which holds log lines, from open() to
  // close().
  Server(loop::Loop& loop, journal::EventRing& events, journal::Memory& lines, Backend& backend, Clock clock);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Binds and listens: the errors are those of open_control_socket(), where EADDRINUSE means another living daemon.
  [[nodiscard]] std::optional<sys::Error> open(const config::Control& config);
  // For another program to continue with: the socket, and the clients that are not in the middle of an answer.
  [[nodiscard]] upgrade::ServerHandover hand_over() const;
  // True if a client is in the middle of an answer; that client would be lost.
  [[nodiscard]] bool is_answering() const;
  // In place of open(). Returns the calls of clients that wait for an answer.
  [[nodiscard]] std::vector<Unanswered> resume(const config::Control& config, const upgrade::ServerHandover& from);
  // Sends as much as possible without blocking, closes all connections and removes the socket file. Does nothing if it
  // is not open. May be called, and the server destroyed, from within Backend::call(): answers after that are lost.
  void close() noexcept;

  // Every second: a socket whose file is gone, or that was shut down, is recreated; the clients stay. Where somebody
  // else's socket is, nothing is done but to look again later.
  void look();
  void look_again();  // at once
  // Called every second while there are clients: those that have been idle too long are closed in the next turn of the
  // loop.
  void tick();

 private:
  using Client = std::shared_ptr<ClientConnection>;

  void serve(ControlSocket socket, const config::Control& config);
  void listen_at(ControlSocket socket);
  void on_lost(const sys::Error& error);
  void on_new_clients();
  std::shared_ptr<ClientConnection> add(sys::Fd fd, const Peer& peer);
  [[nodiscard]] bool accept_one();  // false: no further client for now
  void turn_away(int fd, const Peer& peer);
  void make_room();
  void pause_accepting(int error);
  void tell_of_shortage(const char* operation, int error);
  void turn();
  void want_turn();

  std::shared_ptr<ClientConnection::World> world_;  // shared with clients in the middle of a callback
  journal::EventRing& events_;
  journal::Memory& lines_;
  Clock clock_;
  ControlSocket socket_;
  config::Control config_;
  supervision::Instant next_look_{};
  std::chrono::seconds look_pause_{1};
  int told_of_loss_ = -1;  // the errno that has been logged
  std::unique_ptr<loop::Poll> accepting_;
  std::vector<Client> clients_;
  loop::Timer turn_;
  loop::Timer tick_;   // while there are clients
  loop::Timer pause_;  // accepting continues when it expires
  bool turn_wanted_ = false;
  bool ticking_ = false;
  log::RateLimit strangers_;
  log::RateLimit evictions_;
  log::RateLimit shortages_;
};

}  // namespace bulkhead::control
