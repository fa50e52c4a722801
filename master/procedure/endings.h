// Ends listeners while the daemon continues: for `stop`, `drain` and `delete`, and when their supervisor gave up. Runs
// in the master, on the loop.
//
// An ending is a StopSequence for the listeners at and below a path, with the end of that node in the tree as its last
// step. A request for a path that is already ending waits for that end; so does a request that would end a node above
// or below it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "master/journal/narrator.h"
#include "master/procedure/handover.h"
#include "master/procedure/stop_sequence.h"
#include "master/running/engine.h"
#include "master/running/listeners.h"
#include "worker/loop/loop.h"

namespace bulkhead::procedure {

class Endings {
 public:
  using Answered = running::Engine::Answered;
  using Times = std::function<StopSequence::Times()>;  // of the configuration in effect
  enum class For : std::uint8_t {
    now,  // until it is started again, as an operator wishes it
    good  // a reload removes it
  };

  // All references must outlive it.
  Endings(loop::Loop& loop, running::Engine& engine, running::Listeners& listeners, running::Workforce& workforce,
          journal::Narrator& narrator, Times times, Clock clock);

  // Answers when it has ended, with the tree's answer to terminate_child. A second request without a lame duck ends the
  // lame duck of an ending at once.
  void end(const std::string& path, supervision::Duration lame_duck, const Answered& answered, For why = For::now);
  // Calls off an ending that is still in its lame duck, which no client has noticed; the requests for the ending are
  // answered with `restarting`. False: the lame duck is over, or nothing is ending.
  [[nodiscard]] bool call_off(const std::string& path);
  // True until the node of an ending that has been asked for For::good is being stopped.
  [[nodiscard]] bool can_take_back(const std::string& path) const;
  // Forgets those who asked for it For::good, without an answer. If nobody else has, its listeners are open for clients
  // again, as far as their sockets still are, and connections that have not been asked to end continue; their workers
  // have closed their sockets, or are about to.
  void take_back(const std::string& path);

  // True if a node at, above or below the path is ending.
  [[nodiscard]] bool touches(const std::string& path) const;
  // True if a node at or above the path is ending.
  [[nodiscard]] bool ends(const std::string& path) const;
  // The path of the first ending; empty: none.
  [[nodiscard]] std::string first() const { return endings_.empty() ? "" : endings_.begin()->first; }
  // True if at least one listener is open, and every open listener is ending.
  [[nodiscard]] bool all() const;
  // The listeners at and below `path` that are open or have connections.
  [[nodiscard]] std::vector<net::Listener*> to_end(const std::string& path) const;

  void worker_ready(const process::WorkerProcess& worker);
  void worker_gone(net::Listener& listener);
  void forget(const net::Listener& listener);  // about to be destroyed

  // The supervisor at `path` has ended by itself, for now or for good. Once all its consequences have been applied,
  // close_abandoned() closes the ports of listeners that are not started again, so that clients are refused instead of
  // waiting in vain. Their connections continue.
  void gave_up(const std::string& path) { gave_up_.insert(path); }
  void close_abandoned();
  // The same at once, after a start that failed: closes the ports of listeners at and below `path` that are stopped.
  void close_stopped(const std::string& path);

  // Call it every StopSequence::kTick while something ends.
  void tick();

  // For another program, which continues with the endings from its first tick on. Those who asked for them have to ask
  // there again.
  [[nodiscard]] std::vector<EndingHandover> hand_over() const;
  void resume(const std::vector<EndingHandover>& from);

 private:
  struct Asker {
    Answered answered;
    For why = For::now;
  };
  struct Ending {
    std::shared_ptr<StopSequence> sequence;
    std::vector<Asker> askers;
  };
  struct Waiting {
    std::string path;
    supervision::Duration lame_duck;
    Asker asker;
  };
  void make_sequence(const std::string& path, supervision::Duration lame_duck, std::vector<net::Listener*> listeners);
  void terminate(const std::string& path, For why, const Answered& answered);
  void over(const std::string& path, supervision::ReplyError outcome);
  [[nodiscard]] bool is_started_again(const std::string& path) const;
  void close(net::Listener& listener);

  running::Engine& engine_;
  running::Listeners& listeners_;
  running::Workforce& workforce_;
  journal::Narrator& narrator_;
  Times times_;
  Clock clock_;
  loop::Timer timer_;
  std::map<std::string, Ending> endings_;  // by path
  std::vector<Waiting> waiting_;           // until an ending is over
  std::set<std::string> gave_up_;
};

}  // namespace bulkhead::procedure
