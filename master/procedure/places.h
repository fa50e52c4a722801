// daemon.max_connections over all listeners: asks the ledger (place_ledger.h) whenever a worker needs more places than
// its listener's lease has, and writes the leases into the tables. Between two of those nothing is done for a
// connection. Without the option nothing is done at all.
//
//   a worker ──Wanted──▶ wanted() ──▶ share out: lower leases, raise others, ring ──▶ the worker takes a place
//                                            └──▶ none: `exhausted`, and again every kLook while somebody waits
//
// What a table says is believed only up to its listener's own max_connections: one that a hostile worker writes to
// costs the others no more places than the listener may use. Nothing waits for a worker, so one that is stopped costs
// the places of its connections, and none of those that it has not used.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "master/config/config.h"
#include "master/host/clock.h"
#include "master/procedure/place_ledger.h"
#include "master/running/listeners.h"
#include "worker/loop/loop.h"

namespace bulkhead::procedure {

class Places {
 public:
  static constexpr std::chrono::milliseconds kLook{10};   // a place that another listener frees is found in this time
  static constexpr std::chrono::milliseconds kAsks{250};  // after Wanted: workers that still wait send it every 100 ms
  static constexpr std::chrono::seconds kBusy{10};        // after Wanted
  static constexpr std::chrono::milliseconds kAtMost{1};  // between two times of sharing out

  // `listeners` must outlive it.
  Places(loop::Loop& loop, running::Listeners& listeners, Clock clock)
      : listeners_(listeners), clock_(std::move(clock)), timer_(loop, [this] { share(); }) {}

  // The limits of this configuration, from now on. Also when listeners have changed.
  void use(const config::Config& config);
  void wanted(net::Listener& listener);
  void made(net::Listener& listener);
  void forget(const net::Listener& listener) { accounts_.erase(&listener); }
  // Once a second, with the number of connections of earlier daemons.
  void tick(const std::function<std::uint32_t()>& earlier);

  struct Figures {
    std::uint32_t total = 0;
    std::uint32_t reserved = 0;
    std::uint32_t taken = 0;
  };
  [[nodiscard]] std::optional<Figures> figures();  // nothing: the option is not set

 private:
  struct Account {
    std::uint32_t ceiling = 0;  // what its table may say
    std::uint64_t asked = 0;
    supervision::Instant asked_at{};
    supervision::Instant busy_until{};
  };
  void share();
  [[nodiscard]] bool asks(const Account& account) const;
  [[nodiscard]] PlaceAccount account_of(net::Listener& listener);
  [[nodiscard]] std::uint32_t taken(net::Listener& listener);
  void tell(net::Listener& listener, std::uint32_t places, bool exhausted);

  running::Listeners& listeners_;
  Clock clock_;
  loop::Timer timer_;
  std::optional<PlaceRules> rules_;
  std::uint32_t total_ = 0;  // as it is named
  std::uint32_t earlier_ = 0;
  std::map<const net::Listener*, Account> accounts_;
  std::uint64_t asks_ = 0;
  supervision::Instant shared_{};
};

}  // namespace bulkhead::procedure
