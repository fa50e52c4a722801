// The operations on nodes of the tree: stop, start, restart, delete, add, drain, suspend, resume. Control methods,
// signals and reloads all use them. Runs in the master, on the loop; every `done` is called once, at once or later.
//
// What is asked of a node while an operation of several steps has more of them to come for it, for a node above it or
// for one below it, waits for that and keeps its place in the order: otherwise the stop of a reload would come between
// the two halves of a restart. Requests without an answer are handed over to another program, which continues with them
// (hand_over(), resume()).
#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "master/procedure/endings.h"
#include "master/procedure/handover.h"
#include "master/procedure/outcome.h"
#include "master/running/catalogue.h"
#include "master/running/engine.h"
#include "master/running/listeners.h"
#include "master/running/pool_users.h"

namespace bulkhead::procedure {

class Operations {
 public:
  // All references must outlive it.
  Operations(running::Engine& engine, running::Catalogue& catalogue, running::PoolUsers& users,
             running::Listeners& listeners, Endings& endings, journal::Narrator& narrator)
      : engine_(engine),
        catalogue_(catalogue),
        users_(users),
        listeners_(listeners),
        endings_(endings),
        narrator_(narrator) {}

  // A listener is drained first, without a lame duck, as at the daemon's stop; any other node is just stopped.
  void stop(const std::string& path, Done done);
  void start(const std::string& path, Done done);
  // Stops it and starts it again. The listeners below keep their ports and their connections: only their workers are
  // replaced.
  void restart(const std::string& path, Done done);
  // The same for the node and those that its supervisor's strategy ties to it, in the order of a restart by strategy:
  // under rest_for_one the younger siblings, under one_for_all all of them. What has ended stays as it is.
  void restart_with_dependents(const std::string& path, Done done);
  // Those that run now.
  [[nodiscard]] std::vector<std::string> dependents_of(const std::string& path) const;
  // Removes a node that has ended; connections of a listener that gave up are ended first.
  void remove(const std::string& path, Done done);
  // Starts `node` below its supervisor. A child that already exists is left alone, and the answer is the tree's.
  void add(config::Node node, running::AddedChild origin, const Done& done);
  [[nodiscard]] bool is_adding(const std::string& path) const;
  // As stop, but with the daemon's lame duck: for one listener, or for all. Answers when they have ended.
  void drain(const std::optional<std::string>& listener, Done done);
  // Calls off the drain of a listener in its lame duck; a suspended one accepts again.
  void resume(const std::string& listener, const Done& done) { set_suspended(listener, false, done); }
  void suspend(const std::string& listener, const Done& done) { set_suspended(listener, true, done); }

  // Stops it, as stop() does, and removes everything that is known of it. If it has gone already, that is all right.
  void discard(const std::string& path, Done done);
  // Calls `action` when no discard of this very path is under way.
  void when_gone(const std::string& path, std::function<void()> action);
  // True if the discard of this very path can be called off: what it ends has not been stopped yet.
  [[nodiscard]] bool can_take_back(const std::string& path) const;
  // Calls it off, which is answered with success. What operators wish to end goes on ending.
  void take_back(const std::string& path);

  // While a reload stops a node and starts it again, nobody can remove it: it counts as running.
  void keep(const std::string& path) { kept_.insert(path); }
  void release(const std::string& path) { kept_.erase(path); }

  // The unanswered requests, oldest first, for another program to continue with.
  [[nodiscard]] std::vector<OperationHandover> hand_over() const;
  // In that program: takes these requests over. Requests that arrive before go_on() begin then. A client that repeats
  // its request, because it had sent it to the other program, gets the answer to it.
  void resume(const std::vector<OperationHandover>& from);
  void go_on();

 private:
  struct Request {
    Verb verb = Verb::stop;
    std::string path;
    bool begun = false;
    bool last = false;                   // the last step has been requested of the tree
    std::optional<config::Node> node{};  // to be added, until it is begun
    running::AddedChild child{};         // of `add`
    bool anew = false;                   // `add`: no child was there before
    bool taken_on = false;               // from another program, and nobody has asked for it here
    std::vector<Done> askers{};
  };
  using Requests = std::list<Request>;
  using Place = Requests::iterator;

  void request(Request request, Done done);
  [[nodiscard]] Place find_again(const Request& request);
  void begin_next();
  [[nodiscard]] bool may_begin(Requests::const_iterator request) const;
  void begin(Place request);
  void begin_stop(Place request);
  void begin_restart(Place request);
  void begin_restart_group(Place request);
  void begin_start(Place request);
  void begin_remove(Place request);
  void begin_discard(Place request);
  void discard_stopped(Place request);
  void begin_add(Place request);
  void begin_to_start(Place request, supervision::ChildSpec spec);
  void erase(Place request);
  void over(Place request, const Outcome& outcome);
  void over(Place request, supervision::ReplyError error) { over(request, outcome_of(error, request->path)); }
  void operate(supervision::Operation operation, Place request, running::Engine::Answered answered,
               supervision::ChildSpec spec = {});
  void tell_gone(const std::string& path);
  void end(const std::string& path, supervision::Duration lame_duck, const Endings::Answered& answered);
  [[nodiscard]] bool is_up(const std::string& path) const;
  // An operator's request to start it, or a supervisor above it, is under way.
  [[nodiscard]] bool is_about_to_start(const std::string& path) const;
  void forget(const std::string& path);
  void one_fewer(const std::string& listener);  // a worker of it has been deleted
  void set_suspended(const std::string& listener, bool on, const Done& done);
  [[nodiscard]] Requests::const_iterator discard_of(const std::string& path) const;

  running::Engine& engine_;
  running::Catalogue& catalogue_;
  running::PoolUsers& users_;
  running::Listeners& listeners_;
  Endings& endings_;
  journal::Narrator& narrator_;
  Requests requests_;  // in the order of their arrival; a callback may hold a Place until it is over
  std::vector<std::pair<std::string, std::function<void()>>> for_gone_;  // by path
  std::set<std::string> kept_;                                           // paths
  bool taking_on_ = false;                                               // between resume() and go_on()
};

}  // namespace bulkhead::procedure
