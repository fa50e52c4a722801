// What the master has one worker of a listener carry out on the connection table: a Limits, Collect or Forgive. Errands
// of a listener wait for one another.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "master/net/listener.h"
#include "master/process/handover.h"
#include "master/supervision/event.h"
#include "worker/ipc/message.h"

namespace bulkhead::process {

// Called with the count of the worker's Done.
using Answered = std::function<void(std::uint32_t count)>;

class Errands {
 public:
  using Instant = supervision::Instant;
  using RunId = supervision::RunId;

  // Those who carry them out.
  struct Carriers {
    std::function<bool(const net::Listener&)> has_ready;
    // Sends to one ready worker of the listener, and returns its run; nothing: to none, their channels are full.
    std::function<std::optional<RunId>(const net::Listener&, const ipc::Down&)> send_to_one;
  };
  explicit Errands(Carriers carriers) : carriers_(std::move(carriers)) {}

  // Without a ready worker an errand waits for the next one, but nobody waits for the answer: it is 0 then, and a
  // Limits is dropped, because a new worker begins with the limits in force.
  void ask(net::Listener& listener, const ipc::Down& message, Answered answered);
  // Begins the next errand of the listener, unless one is under way. Call it when a worker has become ready or has
  // gone, and when the listener may have orders for slots (net::Listener::order).
  void next(net::Listener& listener);
  void next_of_all();
  // The worker has carried out its errand. False: it had no such errand.
  [[nodiscard]] bool done(net::Listener& listener, RunId worker, const ipc::Done& done);
  void worker_gone(net::Listener& listener, RunId worker);
  // The listener is going away.
  void forget(net::Listener& listener);

  // Those Forgives that wait for a worker, for another program to continue with, and their continuation there.
  [[nodiscard]] std::vector<ForgiveHandover> hand_over() const;
  void resume(net::Listener& listener, const ForgiveHandover& from);

  // Some worker has one.
  [[nodiscard]] bool any_under_way() const;
  // When this worker got the errand that it has.
  [[nodiscard]] std::optional<Instant> since(net::Listener& listener, RunId worker) const;

 private:
  struct Errand {
    ipc::Down message;
    Answered answered;
  };
  struct Carried {
    RunId worker;
    Instant since;
  };
  struct Queue {
    std::deque<Errand> errands;
    std::optional<Carried> carried;  // the first errand
  };
  static void nobody_is_ready(Queue& queue);

  Carriers carriers_;
  std::map<net::Listener*, Queue> queues_;
};

}  // namespace bulkhead::process
