// The daemon's parts, wired as master/daemon.cpp wires them, without a process, without waiting and without the control
// socket: children are played by a ScriptedSystem, the clock is the test's, a turn of the loop never sleeps. Listeners
// are real, on abstract Unix sockets: "unix:@NAME" in a configuration becomes a name of this process's own.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "master/host/clock.h"
#include "master/journal/event_ring.h"
#include "master/journal/narrator.h"
#include "master/procedure/endings.h"
#include "master/procedure/log_keeper.h"
#include "master/procedure/operations.h"
#include "master/procedure/readiness.h"
#include "master/procedure/scaling.h"
#include "master/procedure/shutdown.h"
#include "master/reload/reload.h"
#include "master/running/catalogue.h"
#include "master/running/children.h"
#include "master/running/engine.h"
#include "master/running/later.h"
#include "master/running/listeners.h"
#include "master/running/pool_users.h"
#include "tests/unit/rig/scripted_system.h"
#include "worker/ipc/table/table.h"
#include "worker/loop/loop.h"

namespace bulkhead::rig {

// A configuration whose tree has these children. Its log is /dev/null, and listeners without a user run as nobody, as
// the scripted system says.
[[nodiscard]] std::string file_with(std::string_view children, std::string_view daemon_keys = "",
                                    std::string_view root_keys = "");
// `"id":ID,"type":"listener",…` with two workers unless `keys` say otherwise; and a process that is ready at once.
[[nodiscard]] std::string listener_entry(const std::string& id, const std::string& keys = "");
[[nodiscard]] std::string process_entry(const std::string& id, const std::string& keys = "");

// The configuration of `text`, or its problems as an exception.
[[nodiscard]] config::Config config_of(std::string_view text);

// The file that a daemon reads its configuration from; in memory, gone with its owner.
class ConfigFile {
 public:
  explicit ConfigFile(std::string_view text);
  void write(std::string_view text);
  [[nodiscard]] std::string path() const;
  [[nodiscard]] config::Loaded load() const;

 private:
  sys::Fd file_;
};

class Rig final : private running::Engine::Effects {
 public:
  explicit Rig(std::string_view text);
  ~Rig() override;
  Rig(const Rig&) = delete;
  Rig& operator=(const Rig&) = delete;

  // Starts the tree and lets everything happen that follows.
  void start();
  // Until nothing happens any more. Never sleeps.
  void reap();  // all that have ended: the reaper itself stops after a slice of time
  void settle();
  // Time passes for the tree, the endings and the shutdown, all of it at once.
  void pass(std::chrono::milliseconds time);
  // The same in steps of StopSequence::kTick.
  void tick(std::chrono::milliseconds time);
  // A child ends by itself.
  void end(const std::string& path, int wait_status = exited(1));

  [[nodiscard]] supervision::NodeState state(const std::string& path) const;
  [[nodiscard]] bool is_running(const std::string& path) const;
  [[nodiscard]] std::size_t count(std::string_view event) const;  // in the ring
  [[nodiscard]] net::Listener& listener_at(const std::string& path) const { return *listeners.at(path); }
  [[nodiscard]] supervision::RunId run_of(const std::string& path) const { return engine.view(path)->run; }
  // The listener's table as its workers have it.
  [[nodiscard]] ipc::Table& table_at(const std::string& path);
  // A connection that this worker serves, by a process that exists only in the table.
  std::uint32_t connect(const std::string& worker, pid_t pid);

  // A callback that records the answer of an operation.
  [[nodiscard]] procedure::Done keep(procedure::Outcome& outcome, int& answers) const;

  ConfigFile file;
  loop::Loop loop;
  supervision::Instant time;
  ScriptedSystem system;
  journal::EventRing events;
  journal::Narrator narrator;
  net::InheritedSockets inherited;
  running::Later later;
  running::Catalogue catalogue;
  running::PoolUsers users;
  running::Listeners listeners;
  running::Engine engine;
  running::Children children;
  procedure::LogKeeper log;
  procedure::Endings endings;
  procedure::Operations operations;
  procedure::Scaling scaling;
  procedure::Readiness readiness;
  procedure::Shutdown shutdown;
  host::ServiceManager manager;
  reload::Reload reload;

  std::map<std::string, ipc::Table> tables;
  std::set<pid_t> strangers;
  std::vector<std::string> sockets_lost{};  // paths of listeners, as workers report it
  std::vector<pid_t> strangers_reaped;
  std::vector<supervision::Event> applied;  // by the children
  int times_ready = 0;
  bool is_done = false;
  bool ports_stay = false;  // a service manager keeps the sockets
  std::function<void(net::Listener&)> on_wanted{};

 private:
  void start(const supervision::NodeView& child, const supervision::NodeView& parent, supervision::RunId run) override;
  void stop(supervision::RunId run) override { children.stop(run); }
  void kill(supervision::RunId run) override { children.kill(run); }
  void told(const supervision::Report& report) override;
  void ending(const supervision::TreeEnding& end) override;
  void over(const supervision::TreeTerminated& end) override { shutdown.tree_terminated(end); }
  void settled() override;
  [[nodiscard]] running::Children::Observer children_observer();
  [[nodiscard]] procedure::StopSequence::Times stop_times() const;
  [[nodiscard]] Clock clock() const {
    return [this] { return time; };
  }
};

}  // namespace bulkhead::rig
