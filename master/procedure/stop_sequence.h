// The shutdown of the daemon or of some listeners, one phase after another, each with its deadline:
//
//   lame_duck      new clients are still served, so that balancers have time to choose other servers; TERM only
//   closing        new clients are refused; 50 ms for handshakes in progress
//   draining       workers empty the kernel's queue and close; connections continue until they end, at most for
//                  drain_timeout
//   terminating    TERM and CONT to every connection's group, one after another over close_spread, `shutdown` later
//                  KILL
//   leaving        instead of the phases above, where connections shall continue without the daemon: 50 ms for
//                  handshakes in progress; workers empty the queue and close; after half a second they close as they
//                  are; after a second those that have not are killed
//   stopping_tree  the supervision tree, or the node that ends, stops in reverse order of start
//
// A first TERM begins at the top, QUIT at closing, INT at terminating; each further signal steps up one, the last one
// kills. Supervision continues until stopping_tree: a worker that dies while it drains is replaced, and drains.
//
// Decisions only: it reads an injected clock, its owner calls tick() while is_ticking(), and the Workforce and the
// World carry out its decisions.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <vector>

#include "master/config/config.h"
#include "master/host/clock.h"
#include "master/net/end_phase.h"
#include "master/net/listener.h"
#include "master/running/workforce.h"

namespace bulkhead::procedure {

class StopSequence {
 public:
  using Phase = net::EndPhase;
  struct World {
    std::function<std::vector<net::Listener*>()> listeners;  // the listeners to end; called once, at the beginning
    std::function<void()> stop_tree;                         // answered by tree_gone()
    std::function<void()> kill_everything;                   // workers and process children at once
    std::function<void(Phase)> on_phase;
    std::function<void()> on_done;
  };

  struct Times {
    config::Timeout drain_timeout;
    supervision::Duration lame_duck;
    supervision::Duration close_spread;
  };
  static constexpr std::chrono::milliseconds kTick{10};

  // `workforce` must outlive it.
  StopSequence(running::Workforce& workforce, Times times, Clock clock);

  void set_times(Times times) { times_ = times; }
  [[nodiscard]] supervision::Duration lame_duck() const noexcept { return times_.lame_duck; }
  void set_world(World world) { world_ = std::move(world); }
  void graceful();           // TERM
  void without_lame_duck();  // QUIT
  void fast();               // INT
  // Connections are neither waited for nor signalled. `ports_stay`: others keep the listening sockets, and serve their
  // queues later. A first signal during it changes nothing, a second one kills what is left of the tree.
  void leave(bool ports_stay);
  void end_lame_duck();           // does nothing in other phases
  [[nodiscard]] bool call_off();  // only in the lame duck, which no client has noticed; false: too late
  // Before the tree is being stopped: the listeners get no more signals, and are open for clients again as far as their
  // sockets still are (Listener::welcome()); false: too late.
  [[nodiscard]] bool take_back();
  void forget(const net::Listener& gone);  // about to be destroyed
  void tree_gone();  // also without stop_tree(): the connections are drained, then on_done is called
  // A worker became ready: it may have missed a message that the others got.
  void worker_ready(const process::WorkerProcess& worker);
  // A worker's process has been reaped and its connections adopted: from now on the master signals them.
  void worker_gone(net::Listener& listener);
  [[nodiscard]] Phase phase() const noexcept { return phase_; }

  // For another program, which continues with its next tick.
  struct Progress {
    Phase phase = Phase::idle;
    supervision::Instant since{};
  };
  [[nodiscard]] Progress progress() const noexcept { return {phase_, since_}; }
  void resume(Progress from);

  // Call it every kTick while is_ticking().
  void tick();
  [[nodiscard]] bool is_ticking() const noexcept {
    return (phase_ >= Phase::lame_duck && phase_ <= Phase::leaving) || stops_tree_again_;
  }

 private:
  void enter(Phase phase);
  void show_phase();
  [[nodiscard]] std::optional<supervision::Instant> phase_ends(const net::Listener& listener) const;
  void begin();
  void begin_closing();
  void begin_draining();
  void begin_terminating();
  void begin_stopping_tree();
  void finish();
  void kill_connections();
  void tick_draining();
  void tick_terminating();
  static void tell_unkillable(const net::Listener& listener);
  void tick_leaving();
  [[nodiscard]] bool all_let_go();
  void close(net::Listener& listener) const;
  void step_up();
  void signal_share(net::Listener& listener, std::uint32_t& next, double share);
  void tick_spread();
  [[nodiscard]] bool concerns(const net::Listener& listener) const;
  [[nodiscard]] bool no_connections() const;
  [[nodiscard]] supervision::Duration in_phase() const { return clock_() - since_; }

  running::Workforce& workforce_;
  Times times_;
  Clock clock_;
  World world_;
  Phase phase_ = Phase::idle;
  bool tree_gone_ = false;
  bool leaves_ = false;
  bool ports_stay_ = false;        // when it leaves
  bool signalled_ = false;         // since it leaves
  bool stops_tree_again_ = false;  // the other program had begun to
  supervision::Instant since_{};
  std::vector<net::Listener*> listeners_;
  std::vector<std::uint32_t> next_slot_;  // terminating: per listener, the first slot that has not been asked to end
  std::vector<net::Listener*> to_kill_;   // terminating: not killed yet
  std::optional<supervision::Instant> killed_at_;
};

}  // namespace bulkhead::procedure
