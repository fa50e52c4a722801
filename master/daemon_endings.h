// Listeners that end while the daemon stays: `stop`, `drain`, `delete`, and those that gave up. Runs in the master, on
// the loop.
//
// An ending is a StopSequence (procedure/stop_sequence.h) for the listeners at and below a path, with the end of that
// node in the tree as its last step. What is asked for a path that is ending already waits for that end; so does what
// would end something above or below it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "master/procedure/stop_sequence.h"
#include "master/supervision/command.h"

namespace bulkhead {

class Daemon;

class DaemonEndings {
 public:
  using Then = std::function<void(supervision::ReplyError)>;
  explicit DaemonEndings(Daemon& daemon) : daemon_(daemon) {}

  // Answers when it has ended, with the tree's answer to terminate_child. An ending in its lame duck that is asked for
  // again without one goes on at once.
  void end(const std::string& path, supervision::Duration lame_duck, const Then& then);
  // Something at, above or below the path is ending.
  [[nodiscard]] bool touches(const std::string& path) const;
  [[nodiscard]] std::string first() const { return endings_.empty() ? "" : endings_.begin()->first; }
  // Newcomers are still served as ever, and go on to be: the ending is off, its askers get `restarting`. False: it has
  // come further, or there is none.
  [[nodiscard]] bool call_off(const std::string& path);
  // Every listener that there is to serve is ending, and there is one.
  [[nodiscard]] bool all() const;
  // It is open, or has connections.
  [[nodiscard]] std::vector<net::Listener*> to_end(const std::string& path) const;

  void worker_ready(process::WorkerProcess& worker);
  void worker_gone(net::Listener& listener);
  void forget(const net::Listener& listener);  // about to go away

  // The supervisor at `path` has ended, for now or for good; and what follows from it has happened. Nobody accepts any
  // more for a listener that its supervisor does not start again, so its port is closed: clients are refused instead of
  // waiting in vain. Its connections go on.
  void gave_up(const std::string& path) { gave_up_.insert(path); }
  void close_abandoned();

 private:
  struct Ending {
    std::shared_ptr<procedure::StopSequence> sequence;
    std::vector<Then> askers;
    bool announced = false;
  };
  void begin(const std::string& path, supervision::Duration lame_duck, std::vector<net::Listener*> listeners);
  void terminate(const std::string& path, const Then& then);
  void on_phase(const std::string& path, procedure::StopSequence::Phase phase);
  void over(const std::string& path, supervision::ReplyError outcome);

  Daemon& daemon_;
  std::map<std::string, Ending> endings_;      // by path
  std::vector<std::function<void()>> behind_;  // what waits for any of them
  std::set<std::string> gave_up_;
};

}  // namespace bulkhead
