// The operations on nodes of the tree: stop, start, restart, delete, add, drain, suspend, resume. Control methods,
// signals and reloads all use them. Runs in the master, on the loop; every `done` is called once, at once or later.
#pragma once

#include <optional>
#include <string>

#include "master/procedure/endings.h"
#include "master/procedure/outcome.h"
#include "master/running/catalogue.h"
#include "master/running/engine.h"
#include "master/running/listeners.h"

namespace bulkhead::procedure {

class Operations {
 public:
  // All references must outlive it.
  Operations(running::Engine& engine, running::Catalogue& catalogue, running::Listeners& listeners, Endings& endings,
             journal::Narrator& narrator)
      : engine_(engine), catalogue_(catalogue), listeners_(listeners), endings_(endings), narrator_(narrator) {}

  // A listener is drained first, without a lame duck, as at the daemon's stop; any other node is just stopped.
  void stop(const std::string& path, Done done);
  void start(const std::string& path, Done done);
  // Stops it and starts it again. The listeners below keep their ports and their connections: only their workers are
  // replaced.
  void restart(const std::string& path, Done done);
  // Removes a node that has ended; connections of a listener that gave up are ended first.
  void remove(const std::string& path, Done done);
  // Starts `node` below its supervisor. A child that already exists is left alone, and the answer is the tree's.
  void add(config::Node node, running::AddedChild origin, const Done& done);
  // As stop, but with the daemon's lame duck: for one listener, or for all. Answers when they have ended.
  void drain(const std::optional<std::string>& listener, Done done);
  // Calls off the drain of a listener in its lame duck; a suspended one accepts again.
  void resume(const std::string& listener, const Done& done) { set_suspended(listener, false, done); }
  void suspend(const std::string& listener, const Done& done) { set_suspended(listener, true, done); }

 private:
  void operate(supervision::Operation operation, const std::string& path, Done done, supervision::ChildSpec spec = {});
  void end(const std::string& path, supervision::Duration lame_duck, const Endings::Answered& answered);
  [[nodiscard]] bool is_up(const std::string& path) const;
  void erase(const std::string& path, const Done& done);
  void forget(const std::string& path);
  void one_fewer(const std::string& listener);  // a worker of it has been deleted
  void set_suspended(const std::string& listener, bool on, const Done& done);

  running::Engine& engine_;
  running::Catalogue& catalogue_;
  running::Listeners& listeners_;
  Endings& endings_;
  journal::Narrator& narrator_;
};

}  // namespace bulkhead::procedure
