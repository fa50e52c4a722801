// Keeps the listening sockets working: looks at all of them once a second, at those of one listener when a worker
// reports that a socket is dead, and at all of them again after a reload. What can be repaired is repaired and given to
// the workers; connections are not touched, and nothing is restarted. What cannot is `waiting` and tried again every
// second: somebody else listens there, or still holds an abstract name. A path that belongs to somebody else is looked
// at less and less often, in the end every 30 seconds, because looking means to connect. Listeners that are ending or
// on trial are left alone.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <utility>

#include "master/host/clock.h"
#include "master/journal/narrator.h"
#include "master/net/listener.h"
#include "master/net/socket_repair.h"
#include "master/running/listeners.h"
#include "master/running/workforce.h"

namespace bulkhead::procedure {

class SocketCare {
 public:
  // All references must outlive it.
  SocketCare(running::Listeners& listeners, running::Workforce& workforce, journal::Narrator& narrator, Clock clock)
      : listeners_(listeners), workforce_(workforce), narrator_(narrator), clock_(std::move(clock)) {}

  void look();
  void look_at(net::Listener& listener);
  void look_again();                           // look(), without waiting for the time of the next attempt
  void forget(const net::Listener& listener);  // about to be destroyed

 private:
  using Key = std::pair<const net::Listener*, std::uint16_t>;
  struct Trouble {
    supervision::Instant next{};    // no attempt before
    std::chrono::seconds pause{1};  // after the next failure
    int told = -1;                  // the errno that has been reported
  };
  void repair(net::Listener& listener, const net::ListeningSocket& socket, net::Fault fault);

  running::Listeners& listeners_;
  running::Workforce& workforce_;
  journal::Narrator& narrator_;
  Clock clock_;
  std::map<Key, Trouble> troubles_;
};

}  // namespace bulkhead::procedure
