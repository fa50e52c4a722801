// One client of the control socket: bytes in, requests to the backend one after another, bytes out. Every call is
// nonblocking and bounded, because the client may be slow, hostile or gone.
//
// Bounds:   a request has at most kMaxRequest bytes; one is carried out at a time, at most 8 in one turn of the loop,
//           and none while a chunk (64 KiB) of output waits; an answer has at most kMaxAnswer bytes; a follower
//           that is more than kMaxOutput bytes of events behind is dropped. An answer in pieces may have any length:
//           more of it is made when less than a chunk waits.
// Idleness: a client that for the idle timeout neither completes a request nor reads what is waiting for it is closed.
//           Waiting for the backend is not idleness, and a follower that reads may be silent for ever.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "master/control/backend.h"
#include "master/control/control_socket.h"
#include "master/control/event_feed.h"
#include "master/protocol/protocol.h"
#include "master/upgrade/clients_handover.h"
#include "worker/loop/loop.h"
#include "worker/sys/fd.h"

namespace bulkhead::control {

inline constexpr std::size_t kMaxOutput = 1024 * 1024;
inline constexpr std::size_t kMaxAnswer = 16 * 1024 * 1024;

class ClientConnection : public std::enable_shared_from_this<ClientConnection> {
 public:
  using Instant = std::chrono::steady_clock::time_point;

  struct World {
    loop::Loop& loop;
    const journal::EventRing& events;
    Backend& backend;
    std::function<void()> want_turn;  // asks for a call of turn() soon, from outside the client's callbacks
    bool closed = false;              // turn() is no longer called
  };

  // The objects that `world` refers to must outlive it; the server need not.
  ClientConnection(std::shared_ptr<World> world, sys::Fd fd, Peer peer);
  ClientConnection(const ClientConnection&) = delete;
  ClientConnection& operator=(const ClientConnection&) = delete;

  // Once, after it is owned by a shared_ptr. Returns 0, or the errno why the loop cannot watch it: start_later() then
  // tries again until it can, turn_away() ends it with an answer that says so.
  [[nodiscard]] int start();
  void start_later() { turn(); }
  void turn_away(int error);
  // Continues the remaining work as far as possible without blocking.
  void turn();
  void published(const journal::EventRecord& record);
  void logged() noexcept;  // there are log lines that a client may follow
  // Closes it after the idle timeout, or if it waits for an answer and its client is gone.
  void look_at_the_clock(Instant now, std::chrono::nanoseconds idle_timeout);
  // Sends as much as possible without blocking, then closes the connection.
  void finish();
  void drop() { dead_ = true; }

  // True in the middle of an answer.
  [[nodiscard]] bool is_answered() const noexcept { return !dead_ && (pieces_ || feed_ || has_output()) && !follows(); }
  // For another program to continue with; nothing: it is in the middle of an answer, or of events.
  [[nodiscard]] std::optional<upgrade::ClientHandover> hand_over() const;
  // In place of a new connection, before start(). If the client had asked the other program and waits for the answer,
  // returns the call that gives it.
  [[nodiscard]] std::optional<Unanswered> resume(const upgrade::ClientHandover& from);

  [[nodiscard]] bool dead() const noexcept { return dead_; }
  [[nodiscard]] bool busy() const noexcept { return pending_ != 0 || pieces_ || (feed_ && feed_->answering()); }
  [[nodiscard]] bool follows() const noexcept { return news_ || (feed_ && feed_->follows()); }
  [[nodiscard]] Instant active() const noexcept { return active_; }
  [[nodiscard]] const Peer& peer() const noexcept { return peer_; }

 private:
  void on_ready(int events);
  void receive();
  void take_requests();
  [[nodiscard]] bool take_request();
  void handle(std::string_view line);
  void call(const protocol::Request& request);
  [[nodiscard]] Reply wait_for(const protocol::RequestId& id, std::string method, nlohmann::ordered_json params);
  void follow_events(const protocol::Request& request);
  [[nodiscard]] bool refuse_second(const protocol::Request& request);
  void answer(std::uint64_t number, const protocol::RequestId& id, const Answer& answer);
  void refuse(const Failure& failure);
  void refuse_change(const protocol::Request& request);
  void make_pieces();
  void make_events();
  void make_news();
  void flush();
  void close_if_done();
  void drop_follower();
  void send_output();
  void update_watch();
  [[nodiscard]] int wanted() const;
  [[nodiscard]] bool has_work() const;  // work that can be done without waiting
  [[nodiscard]] bool has_output() const noexcept { return sent_ < output_.size(); }

  std::shared_ptr<World> world_;
  sys::Fd fd_;
  loop::Poll poll_;  // destroyed before the descriptor that it watches
  Peer peer_;
  Instant active_;
  std::string input_;
  std::size_t searched_ = 0;  // of input_, without a newline in it
  std::string output_;
  std::size_t sent_ = 0;     // of output_
  protocol::Pieces pieces_;  // the rest of an answer
  std::optional<EventFeed> feed_;
  protocol::Pieces news_;      // log lines that it follows
  bool has_news_ = false;      // some may wait
  std::uint64_t pending_ = 0;  // number of the call that the backend has not answered; 0: none
  std::uint64_t calls_ = 0;
  protocol::RequestId pending_id_;
  std::string pending_method_;
  nlohmann::ordered_json pending_params_;
  int watched_ = 0;
  bool input_ended_ = false;
  bool closing_ = false;  // once the output is out
  bool dead_ = false;
};

}  // namespace bulkhead::control
