// The interface through which the procedures command a listener's workers and connections. The daemon's Children
// implement it (master/running/children.h), and a script in tests.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>

#include "master/net/listener.h"
#include "master/process/workers.h"
#include "worker/ipc/message.h"

namespace bulkhead::running {

enum class Signalled : std::uint8_t {
  yes,     // its worker is asked to
  gone,    // it no longer exists
  not_yet  // its worker's channel is full: try again in a moment
};

class Workforce {
 public:
  virtual ~Workforce() = default;

  // To all ready workers of this listener.
  virtual void send(net::Listener& listener, const ipc::Down& message) = 0;
  // To the same: another listening socket in place of the one with its number.
  virtual void give_socket(net::Listener& listener, const net::ListeningSocket& socket) = 0;
  // Has one ready worker of this listener carry it out: see process::Errands::ask().
  virtual void ask(net::Listener& listener, const ipc::Down& message, process::Answered answered) = 0;
  [[nodiscard]] virtual bool has_ready_worker(const net::Listener& listener) const = 0;
  // Asks a worker to leave; its connections are adopted.
  virtual void retire(supervision::RunId worker) = 0;

  // Has its workers close their sockets and continue with their connections, without the master: each is let go as soon
  // as it has said that its sockets are closed. From then on the tree takes it for ended, and no worker is started.
  // True: all have been let go, or are gone.
  [[nodiscard]] virtual bool let_go(net::Listener& listener, process::LetGo how) = 0;

  // See process::Workers::all_drained().
  [[nodiscard]] virtual bool all_drained(const net::Listener& listener, bool patient) const = 0;
  // True if some worker is leaving and still holds accepted connections without a child.
  [[nodiscard]] virtual bool any_in_hand(const net::Listener& listener) const = 0;

  // Signals the processes of all its connections; SIGTERM is followed by SIGCONT. Workers signal their own, the master
  // those that it has adopted.
  virtual void signal_connections(net::Listener& listener, int signal) = 0;
  // The same for the adopted ones only.
  virtual void signal_adopted(net::Listener& listener, int signal) = 0;
  // Signals one connection.
  virtual Signalled signal_connection(net::Listener& listener, std::uint32_t slot, std::uint32_t use, int signal) = 0;
  // Ends one connection, for this reason: its stop_signal, later SIGKILL. False: it no longer exists.
  virtual bool end_connection(net::Listener& listener, std::uint32_t slot, std::uint32_t use, ipc::EndCause cause) = 0;
  // See process::Workers::kill_unresponsive().
  virtual void kill_unresponsive(net::Listener& listener, std::chrono::nanoseconds patience) = 0;

  // Some connection of it lives, as far as the master knows: one that it has adopted, or, while workers live, what
  // their table says.
  [[nodiscard]] virtual bool has_connections(const net::Listener& listener) const = 0;

  virtual void for_each_worker(const std::function<void(const process::WorkerProcess&)>& visit) const = 0;
};

}  // namespace bulkhead::running
