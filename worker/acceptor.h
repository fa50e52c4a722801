// Accepts on the listener's sockets, which it shares with the listener's other workers: plain level-triggered polling,
// one accept a wake, so that the kernel's queue is served by whoever is free (accept(2), epoll(7)).
//
//   accepting ──full──▶ paused ──a slot is freed (bell), or 100 ms──▶ accepting
//   accepting ──no room for more PROXY headers──▶ paused ──one comes, or its time is up──▶ accepting
//   accepting ──no room in max_connection_rate──▶ paused ──there is──▶ accepting
//   accepting ──shortage of descriptors, memory, processes──▶ paused ──backoff, or a child ended──▶ accepting
//   any ──suspend──▶ suspended ──resume──▶ accepting
//   any ──drain──▶ accepts until the queue is empty, closes socket by socket, then tells
//
// Where `on_full` is queue, the slot comes first, and who has to wait waits in the kernel. Where it is not, and
// where only a PROXY header tells who the client is, everybody is accepted and then admitted or refused (reception.h).
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
#include "worker/ipc/table.h"
#include "worker/loop/loop.h"
#include "worker/pause_reasons.h"
#include "worker/proxy_gate.h"
#include "worker/reception.h"
#include "worker/sys/fd.h"

namespace bulkhead::worker {

class Acceptor {
 public:
  struct Observer {
    std::function<void(int)> on_broken;  // this worker cannot go on (errno)
    std::function<void()> on_pause;      // the end of a child is waited for
    std::function<void()> on_idle;       // nobody is in hand any more
  };
  // Takes over the listening sockets.
  Acceptor(loop::Loop& loop, const ipc::Plan& plan, ipc::Table& table, Connections& connections, Reception& reception,
           int channel, int bell, std::vector<sys::Fd> sockets, Observer observer);

  void start();
  void suspend();
  void resume();
  // Told how many are still in hand, once the sockets are closed; and again, with none, when the last of them is
  // placed.
  void drain(std::function<void(std::size_t)> on_drained);
  // Stops for good and closes the sockets. Connections in hand are placed or refused, but those whose PROXY header is
  // not here yet still have their time, and who has sent one and waits for room as much again.
  void close();
  // All connections are to end, those in hand too.
  void give_up();
  // Accepted connections that have neither a child nor a refusal yet.
  [[nodiscard]] std::size_t in_hand() const noexcept { return gate_.held() + pending_.size(); }
  // A slot may be free, another worker died: look again.
  void look_again();
  // A child has ended: what a fork, or an accept, lacked may be there now.
  void on_child_ended() {
    if (paused_) look_again();
  }
  [[nodiscard]] bool waits() const noexcept { return paused_; }
  // Once a second: tells the master that a pause is over, looks which workers share the listener.
  void tick(std::int64_t now_ns);

 private:
  void on_readable(std::uint32_t socket);
  [[nodiscard]] bool claim(Arrival& arrival);
  [[nodiscard]] bool accept(Arrival& arrival);
  void receive(Arrival arrival);
  // The client is known. Whom there is no room for now waits in hand, in order, while nobody else is accepted.
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
  void close_socket(std::uint32_t socket);
  [[nodiscard]] bool all_closed() const noexcept;
  void pause(ipc::PauseReason reason, int error);
  void await(PauseEnd end);
  void unpause();
  void retry_pending();
  void give_up_pending();
  [[nodiscard]] bool queues() const noexcept { return header_.on_full == ipc::OnFull::queue; }
  void set_polls(bool on);
  void on_bell();
  void announce_pause(const PauseRow& row, int error);
  [[nodiscard]] bool accepting() const noexcept { return started_ && !paused_ && !suspended_; }

  const ipc::PlanHeader& header_;
  const char* path_;
  ipc::Table& table_;
  Connections& connections_;
  Reception& reception_;
  int channel_;
  int bell_;
  std::vector<sys::Fd> sockets_;  // an empty one has been closed
  std::vector<std::unique_ptr<loop::Poll>> polls_;
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

  // Accepted, but no process, or no room, to be had for it yet.
  struct Pending {
    Arrival arrival;
    Received why = Received::shortage;
    std::int64_t since_ns = 0;
  };
  std::vector<Pending> pending_;

  bool announced_ = false;
  std::int64_t last_pause_ns_ = 0;
};

}  // namespace bulkhead::worker
