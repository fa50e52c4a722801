// Finds out who the client of a connection is if a balancer in front of us names it in a PROXY header: step 2 of
// admission/pipeline.h. A listener that expects the header serves no connection without one, and none whose sender is
// not in `proxy_allow_from`.
//
// Headers take time, or never come (slowloris); so a connection that is waited for has neither a process nor a slot,
// only a descriptor and the few bytes that it has sent. Their number is limited, and each has `proxy_timeout`.
//
//   receive ──the whole header is here──▶ on_client
//      │   └──not here──▶ held ──it comes──▶ on_client
//      └──sender not allowed, bytes that are no header, end of input, deadline──▶ refused
//
// Bytes after the header stay in the kernel for the child: arrived bytes are looked at (MSG_PEEK), and only those of
// the header are taken. While a header is incomplete all bytes are the header's, so that no seen byte stays readable
// and level-triggered polling does not spin. SO_RCVLOWAT cannot be used: Unix sockets ignore it (unix(7)).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>

#include "worker/admission/proxy_header.h"
#include "worker/arrival.h"
#include "worker/ipc/plan.h"
#include "worker/loop/loop.h"
#include "worker/reception.h"

namespace bulkhead::worker {

class ProxyGate {
 public:
  // `on_client` gets each connection once its client is known, from receive() or from the loop. `on_left` is called
  // when a connection is no longer waited for: room is free again, and it may have been the last.
  ProxyGate(loop::Loop& loop, const ipc::Plan& plan, Reception& reception, std::function<void(Arrival)> on_client,
            std::function<void()> on_left);

  // proxy_protocol is not "off".
  [[nodiscard]] bool on() const noexcept { return header_.proxy.versions != 0; }
  // Takes a connection that has passed step 1. Must not be called while full().
  void receive(Arrival arrival);
  [[nodiscard]] bool full() const noexcept { return held_.size() >= room_; }
  [[nodiscard]] std::size_t held() const noexcept { return held_.size(); }
  // The listener ends: refuses all that are waited for.
  void give_up();

 private:
  struct Held {
    Arrival arrival;  // its `header` is what has been read so far
    std::unique_ptr<loop::Poll> poll;
    std::int64_t until_ns = 0;
  };
  using Place = std::list<Held>::iterator;

  [[nodiscard]] admission::ProxyResult advance(Arrival& arrival) noexcept;
  [[nodiscard]] bool take(Arrival& arrival, std::size_t size) noexcept;
  void hold(Arrival arrival);
  void on_readable(Place place);
  [[nodiscard]] Arrival leave(Place place);
  void settle(Arrival arrival, const admission::ProxyResult& result);
  void on_deadline();
  void arm();

  loop::Loop& loop_;
  const ipc::PlanHeader& header_;
  Reception& reception_;
  std::function<void(Arrival)> on_client_;
  std::function<void()> on_left_;
  std::size_t room_;
  std::unique_ptr<char[]> seen_;  // what advance() looks at; kMaxProxyHeader bytes, all that a header may have
  std::list<Held> held_;          // in the order of their deadlines, which is that of their arrival
  std::size_t most_held_ = 0;
  loop::Timer deadline_;
};

}  // namespace bulkhead::worker
