// Makes room in listeners whose on_full is drop_oldest_idle. While clients wait there and every slot is taken, the
// connections that have been idle for longest, and for kIdle at least, are ended: as many as wait, but never more than
// kMost at a time. The master chooses among all connections, adopted ones too; each is ended by the process whose child
// it is.
//
// To choose means to look at the socket of every connection, for some milliseconds a turn.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "master/net/listener.h"
#include "master/running/listeners.h"
#include "master/running/workforce.h"
#include "worker/ipc/tcp_look.h"

namespace bulkhead::procedure {

class MakeRoom {
 public:
  static constexpr std::chrono::seconds kIdle{10};
  static constexpr std::uint32_t kMost = 16;
  static constexpr std::chrono::milliseconds kPause{100};  // between two turns while clients wait

  struct Kernel {
    std::function<ipc::TcpLook(const ipc::Slot&)> look;
    std::function<std::uint32_t(const net::Listener&)> queued;  // clients in the queues of its sockets
  };
  // The references must outlive it.
  MakeRoom(running::Listeners& listeners, running::Workforce& workforce, Kernel kernel)
      : listeners_(listeners), workforce_(workforce), kernel_(std::move(kernel)) {}

  // In how long to call it again; nothing: nobody waits.
  [[nodiscard]] std::optional<std::chrono::nanoseconds> turn();
  void forget(const net::Listener& listener) { scans_.erase(&listener); }  // about to be destroyed

 private:
  struct Candidate {
    std::int64_t idle_ns = 0;
    std::uint32_t slot = 0;
    std::uint32_t use = 0;
  };
  struct Scan {
    std::uint32_t next = 0;       // slot
    std::uint32_t leaving = 0;    // connections that are dropped and have not ended yet
    std::vector<Candidate> best;  // the most idle first
  };
  [[nodiscard]] std::uint32_t wanted_in(const net::Listener& listener) const;
  [[nodiscard]] bool go_on(const net::Listener& listener, Scan& scan) const;  // true: all have been looked at
  void look_at(std::uint32_t slot, const ipc::Slot& copy, Scan& scan) const;
  void drop(net::Listener& listener, const Scan& scan, std::uint32_t wanted);

  running::Listeners& listeners_;
  running::Workforce& workforce_;
  Kernel kernel_;
  std::map<const net::Listener*, Scan> scans_;
};

// The clients in the queues of a listener's TCP sockets.
[[nodiscard]] std::uint32_t clients_in_queue(const net::Listener& listener);

}  // namespace bulkhead::procedure
