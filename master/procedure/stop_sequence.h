// The daemon's way down, one phase after another, each with its deadline:
//
//   lame_duck     newcomers are served as ever, so that balancers have time to look elsewhere; TERM only
//   closing       newcomers are refused; 50 ms for handshakes that are under way
//   draining      workers empty the kernel's queue and close; connections go on until they end, at most drain_timeout
//   terminating   TERM and CONT to every connection's group, one after another over close_spread, `shutdown` later KILL
//   stopping_tree the supervision tree stops in reverse order of start
//
// A first TERM begins at the top, QUIT at closing, INT at terminating; each further signal steps up one, the last one
// kills. Supervision goes on until stopping_tree: a worker that dies while it drains is replaced, and drains.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "master/config/config.h"
#include "master/net/listener.h"
#include "master/process/adoption.h"
#include "master/process/workers.h"
#include "worker/loop/loop.h"

namespace bulkhead::procedure {

class StopSequence {
 public:
  enum class Phase { idle, lame_duck, closing, draining, terminating, stopping_tree, done };
  struct World {
    std::function<std::vector<net::Listener*>()> listeners;  // those to end; asked once, at the beginning
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

  StopSequence(loop::Loop& loop, process::Workers& workers, process::Adoption& adoption, Times times);

  void set_times(Times times) { times_ = times; }
  void set_world(World world) { world_ = std::move(world); }
  void graceful();           // TERM
  void without_lame_duck();  // QUIT
  void fast();
  void end_lame_duck();                    // if that is where it is
  [[nodiscard]] bool call_off();           // only in the lame duck, which nobody has noticed; false: too late
  void forget(const net::Listener& gone);  // about to go away: it is none of ours any more
  void tree_gone();                        // also when nobody asked: the connections are ended, then on_done
  // A worker became ready: it may have missed what the others were told.
  void worker_ready(process::WorkerProcess& worker);
  // A worker's process has been reaped and its connections adopted: what it was to do for them is ours to do.
  void worker_gone(net::Listener& listener);
  [[nodiscard]] Phase phase() const noexcept { return phase_; }

 private:
  using Clock = std::chrono::steady_clock;
  void enter(Phase phase);
  void begin();
  void begin_closing();
  void begin_draining();
  void begin_terminating();
  void begin_stopping_tree();
  void kill_connections();
  void tick();
  void tick_draining();
  void tick_terminating();
  void step_up();
  void signal_connections(net::Listener& listener, int signal);
  void signal_share(net::Listener& listener, std::uint32_t& next, double share);
  void tick_spread();
  [[nodiscard]] bool no_connections() const;

  process::Workers& workers_;
  process::Adoption& adoption_;
  Times times_;
  World world_;
  loop::Timer timer_;
  Phase phase_ = Phase::idle;
  bool tree_gone_ = false;
  Clock::time_point since_{};
  std::vector<net::Listener*> listeners_;
  std::vector<std::uint32_t> next_slot_;  // terminating: per listener, the first that has not been asked to end
  std::vector<net::Listener*> to_kill_;   // terminating: not killed yet
  std::optional<Clock::time_point> killed_at_;
};

// What `tree` and `status` call it: "lame_duck"; empty when nothing ends.
[[nodiscard]] std::string_view phase_name(StopSequence::Phase phase);
// Of the daemon as a whole: running, draining or stopping.
[[nodiscard]] const char* phase_text(StopSequence::Phase phase);

}  // namespace bulkhead::procedure
