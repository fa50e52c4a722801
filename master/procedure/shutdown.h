// The shutdown of the daemon: a StopSequence of all its listeners, whose last step ends the whole tree. Begun by a
// signal, by an operator, or by the tree when the root ends by itself.
#pragma once

#include <functional>
#include <memory>

#include "master/host/clock.h"
#include "master/host/exit_status.h"
#include "master/journal/narrator.h"
#include "master/procedure/stop_sequence.h"
#include "master/running/children.h"
#include "master/running/engine.h"
#include "master/running/listeners.h"
#include "worker/loop/loop.h"

namespace bulkhead::procedure {

class Shutdown {
 public:
  using Phase = StopSequence::Phase;
  struct Observer {
    std::function<void(Phase)> on_phase;
    std::function<void()> on_done;
  };

  // All references must outlive it.
  Shutdown(loop::Loop& loop, running::Engine& engine, running::Listeners& listeners, running::Children& children,
           journal::Narrator& narrator, StopSequence::Times times, Observer observer, Clock clock);

  void graceful(bool ready);  // without a lame duck if the daemon was not ready, because no client can know of it yet
  void without_lame_duck() {
    begin([this] { sequence_.without_lame_duck(); });
  }
  void fast() {
    begin([this] { sequence_.fast(); });
  }
  void set_times(StopSequence::Times times) { sequence_.set_times(times); }

  [[nodiscard]] Phase phase() const noexcept { return sequence_.phase(); }
  [[nodiscard]] bool is_stopping() const noexcept { return phase() != Phase::idle; }
  // The exit status of bulkheadd.
  [[nodiscard]] int status() const noexcept { return status_; }

  // What becomes of the connections when the root ends by itself.
  struct Departure {
    bool connections_stay = false;  // they continue without the daemon; otherwise they are drained
    bool ports_stay = false;        // somebody else keeps the listening sockets: they are left as they are
  };
  // The root would end by itself. `ready`: the daemon had become ready; before that, the end means that the start
  // failed. If the daemon is stopping already, it continues to.
  void tree_ending(const supervision::TreeEnding& end, bool ready, Departure departure);
  void tree_terminated(const supervision::TreeTerminated& end);
  // Connections continue without the daemon.
  [[nodiscard]] bool leaves() const noexcept { return leaves_; }
  void worker_ready(const process::WorkerProcess& worker) { sequence_.worker_ready(worker); }
  void worker_gone(net::Listener& listener) { sequence_.worker_gone(listener); }
  void forget(const net::Listener& listener) { sequence_.forget(listener); }

  // Call it every StopSequence::kTick during the shutdown.
  void tick();

 private:
  void begin(const std::function<void()>& step);
  void on_phase(Phase phase);
  void failed(supervision::Cause cause, const std::vector<std::string>& chain, bool shortage);

  running::Listeners& listeners_;
  journal::Narrator& narrator_;
  Observer observer_;
  StopSequence sequence_;
  loop::Timer timer_;
  int status_ = kStopped;
  bool leaves_ = false;
};

}  // namespace bulkhead::procedure
