// Accepts on the listener's sockets, which it shares with the listener's other workers: plain level-triggered polling,
// one accept for each wake, so that the kernel's queue is served by a worker that is free (accept(2), epoll(7)).
//
//   accepting ──full──▶ paused ──a slot is freed (bell), or 100 ms──▶ accepting
//   accepting ──no place of daemon.max_connections──▶ paused ──a place is granted (bell), or 100 ms──▶ accepting
//   accepting ──no room for more PROXY headers──▶ paused ──one comes, or its time is up──▶ accepting
//   accepting ──no room in max_connection_rate──▶ paused ──there is──▶ accepting
//   accepting ──shortage of descriptors, memory, processes──▶ paused ──backoff, or a child ended──▶ accepting
//   a socket is dead ──▶ the others are accepted from; the master is asked for another ──socket──▶ accepting from it
//   any ──suspend──▶ suspended ──resume──▶ accepting
//   any ──drain──▶ accepts until the queue is empty, closes socket by socket, then reports
//
// If `on_full` is queue, the slot comes first, and clients without one wait in the kernel. If it is not, or if only a
// PROXY header says who the client is, every connection is accepted and then admitted or refused (reception.h).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "worker/admission/backoff.h"
#include "worker/admission/fair_share.h"
#include "worker/arrival.h"
#include "worker/connections.h"
#include "worker/ipc/message.h"
#include "worker/ipc/plan.h"
#include "worker/ipc/table/table.h"
#include "worker/loop/loop.h"
#include "worker/pause_reasons.h"
#include "worker/proxy_gate.h"
#include "worker/reception.h"
#include "worker/sys/fd.h"

namespace bulkhead::worker {

class Acceptor {
 public:
  struct Observer {
    std::function<void(int)> on_broken;  // this worker cannot continue (errno)
    std::function<void()> on_pause;      // the worker waits for the end of a child
    std::function<void()> on_idle;       // no connection is in hand any longer
  };
  // Takes over the listening sockets.
  Acceptor(loop::Loop& loop, const ipc::Plan& plan, ipc::Table& table, Connections& connections, Reception& reception,
           int channel, int bell, std::vector<sys::Fd> sockets, Observer observer);

  void start();
  void suspend();
  void resume();
  // No client is accepted any more, unless it is to drain: this worker waits to be replaced.
  void hold();
  // `on_drained` is called once the sockets are closed, with the number of connections still in hand; and again, with
  // 0, when the last of them has a child or a refusal.
  void drain(std::function<void(std::size_t)> on_drained);
  // Stops for good and closes the sockets. Connections in hand are started or refused. A connection whose PROXY header
  // has not arrived keeps the time that it has left, and one that waits for room after its header gets `proxy_timeout`
  // again.
  void close();
  // All connections are to end, those in hand too.
  void give_up();
  // A listening socket in place of the one with this number, whose queue is emptied first.
  void replace(std::uint32_t number, sys::Fd socket);
  // Accepted connections that have neither a child nor a refusal yet.
  [[nodiscard]] std::size_t in_hand() const noexcept { return gate_.held() + pending_.size(); }
  // A slot may be free, or another worker has died: looks again.
  void look_again();
  // A child has ended: the resource that a fork or an accept lacked may be available.
  void on_child_ended() {
    if (paused_) look_again();
  }
  [[nodiscard]] bool waits() const noexcept { return paused_; }
  // Once a second: reports the end of a pause to the master, and looks which workers share the listener.
  void tick(std::int64_t now_ns);

 private:
  // A listening socket. The sockets of the plan come first and keep their places; after them come the ones that have
  // been replaced, until their queues are empty.
  struct Socket {
    sys::Fd fd;                          // empty: it has been closed
    std::uint32_t of = 0;                // the socket of the plan that it is, or was
    bool replaced = false;               // to be closed once its queue is empty
    std::unique_ptr<loop::Poll> poll{};  // null: closed or dead
  };
  void watch(std::uint32_t socket);
  void on_readable(std::uint32_t socket, bool hung_up = false);
  void on_dead(std::uint32_t socket, int error);
  void empty_from(std::uint32_t first);  // serves the sockets from that one on until they are empty
  void empty_replaced() { empty_from(header_.sockets); }
  [[nodiscard]] bool accept(std::uint32_t socket, Arrival& arrival);
  void receive(Arrival arrival);
  // The client is known. If no room is left, the connection waits in hand, in order, and no other is accepted
  // meanwhile.
  void admit(Arrival arrival);
  void pause_for(Received why);
  void on_accept_error(std::uint32_t socket, int error);
  void drain_sockets();
  [[nodiscard]] bool somebody_queues(std::uint32_t socket) const noexcept;
  [[nodiscard]] bool step_aside();
  void after_stepping_aside();
  [[nodiscard]] std::uint64_t taken_by_others() const;
  void on_header_gone();
  void tell_if_idle();
  void tell_if_drained();
  void close_socket(std::uint32_t socket);
  [[nodiscard]] bool all_closed() const noexcept;
  void pause(ipc::PauseReason reason, int error);
  void await(PauseEnd end);
  void unpause();
  void retry_pending();
  void give_up_pending();
  void set_polls(bool on);
  void on_bell();
  void announce_pause(const PauseRow& row, int error);
  void announce_end();
  [[nodiscard]] std::uint32_t queued() const noexcept;
  [[nodiscard]] bool accepting() const noexcept { return started_ && !paused_ && !suspended_ && !held_; }

  const ipc::PlanHeader& header_;
  const char* path_;
  ipc::Table& table_;
  Connections& connections_;
  Reception& reception_;
  int channel_;
  int bell_;
  loop::Loop& loop_;
  std::vector<Socket> sockets_;
  loop::Poll bell_poll_;
  loop::Timer retry_;
  Observer observer_;
  std::function<void(std::size_t)> on_drained_;
  ProxyGate gate_;
  loop::Timer last_chance_;
  admission::Backoff backoff_;
  admission::FairShare share_;
  std::vector<std::uint32_t> others_;  // indexes of the other workers that were alive at the last tick
  std::uint64_t theirs_before_ = 0;
  loop::Timer aside_;
  bool started_ = false;
  bool paused_ = false;
  bool suspended_ = false;
  bool held_ = false;

  // Accepted, but it has no process, or no room, yet.
  struct Pending {
    Arrival arrival;
    Received why = Received::shortage;
    std::int64_t since_ns = 0;
  };
  std::vector<Pending> pending_;

  bool announced_ = false;
  ipc::PauseReason announced_reason_ = ipc::PauseReason::full;
  std::int64_t announced_ns_ = 0;
  std::uint32_t most_queued_ = 0;  // in the kernel's queues at once, since then
  std::int64_t last_pause_ns_ = 0;
};

}  // namespace bulkhead::worker
