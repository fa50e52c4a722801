// The composition root: builds the parts, maps signals to procedures, and runs the loop. Included by main.cpp only; no
// part knows it. Single-threaded; nothing in here blocks once run() has bound the ports.
//
//   signal · timer · SIGCHLD · request ──▶ procedure or Children ──▶ Event ──▶ Engine ──▶ Command
//        ──▶ Children · Narrator · answer ──▶ procedure
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "master/config/config.h"
#include "master/config/host.h"
#include "master/control/methods.h"
#include "master/control/server.h"
#include "master/host/log_target.h"
#include "master/host/pid_file.h"
#include "master/journal/event_ring.h"
#include "master/journal/kept_lines.h"
#include "master/journal/memory.h"
#include "master/journal/narrator.h"
#include "master/journal/start_failure.h"
#include "master/procedure/endings.h"
#include "master/procedure/log_keeper.h"
#include "master/procedure/make_room.h"
#include "master/procedure/operations.h"
#include "master/procedure/places.h"
#include "master/procedure/readiness.h"
#include "master/procedure/runs_keeper.h"
#include "master/procedure/scaling.h"
#include "master/procedure/service_reports.h"
#include "master/procedure/shutdown.h"
#include "master/procedure/socket_care.h"
#include "master/reload/reload.h"
#include "master/running/catalogue.h"
#include "master/running/children.h"
#include "master/running/engine.h"
#include "master/running/later.h"
#include "master/running/listeners.h"
#include "master/running/pool_users.h"
#include "master/upgrade/take_over.h"
#include "master/upgrade/upgrade.h"
#include "worker/loop/loop.h"
#include "worker/sys/fd.h"

namespace bulkhead {

struct DaemonOptions {
  int ready_fd = -1;  // gets one line when everything serves, then is closed
  std::function<void()> on_ready = [] {};
  net::InheritedSockets inherited{};
  host::PidFile pid_file{};
  std::string version{};
  std::vector<std::string> arguments{};  // the command line, for a program that takes over
  std::string program{};                 // where an upgrade finds the next one
  // Applies the command line to every configuration that is read; may be empty.
  std::function<void(config::Config&)> overrule{};
  config::Overridden overridden{};
};

class Daemon final : public upgrade::Heir, private running::Engine::Effects {
 public:
  // `effective` is the configuration as --dump-config prints it.
  Daemon(config::Config config, std::string effective, DaemonOptions options, host::LogTarget log);

  // Binds, starts the tree, serves until it ends. Returns the exit status.
  int run();
  // In place of run(), in a program that continues where another one stopped: resume(), then run_on().
  [[nodiscard]] std::string resume(upgrade::Handover& from, const std::string& rolled_back) override;
  int run_on() override;

 private:
  // Carries out the commands of the engine.
  void start(const supervision::NodeView& child, const supervision::NodeView& parent, supervision::RunId run) override;
  void stop(supervision::RunId run) override { children_.stop(run); }
  void kill(supervision::RunId run) override { children_.kill(run); }
  void told(const supervision::Report& report) override;
  void ending(const supervision::TreeEnding& end) override;
  void over(const supervision::TreeTerminated& end) override { shutdown_.tree_terminated(end); }
  void settled() override;

  void watch_listeners();
  [[nodiscard]] running::Children::Observer children_observer();
  [[nodiscard]] procedure::StopSequence::Times stop_times() const;
  [[nodiscard]] reload::Reload::Surroundings reload_surroundings();
  [[nodiscard]] upgrade::Upgrade::Surroundings upgrade_surroundings();
  [[nodiscard]] int open_control();
  void turn();  // the loop
  void on_ready();
  void on_signal();
  void obey(int signal);
  void tick();
  void make_room();
  void arm_deadline();
  void on_deadline();
  void on_phase(procedure::StopSequence::Phase phase);
  void what_is_under_way_changed();
  void store_sockets();
  [[nodiscard]] bool replaces_workers() const { return reload_.under_way() || upgrade_.is_renewing(); }
  void finish();

  DaemonOptions options_;
  supervision::Instant started_;
  loop::Loop loop_;
  process::ChildSystem system_;
  journal::EventRing events_;
  journal::Memory lines_;
  journal::KeptLines keeps_lines_;
  journal::StartFailures failures_;
  journal::Narrator narrator_;
  running::Later later_;
  running::Catalogue catalogue_;
  running::PoolUsers users_;
  running::Listeners listeners_;
  running::Engine engine_;
  running::Children children_;
  procedure::RunsKeeper runs_;
  procedure::ServiceReports services_;
  procedure::LogKeeper log_;
  procedure::SocketCare sockets_;
  procedure::MakeRoom room_;
  procedure::Places places_;
  procedure::Endings endings_;
  procedure::Operations operations_;
  procedure::Scaling scaling_;
  procedure::Readiness readiness_;
  procedure::Shutdown shutdown_;
  reload::Reload reload_;
  upgrade::Upgrade upgrade_;
  control::Methods methods_;
  control::Server server_;
  std::vector<control::Unanswered> unanswered_;  // calls that another program has not answered
  sys::Fd signals_;
  loop::Poll signal_poll_;
  loop::Timer deadline_;
  loop::Timer room_timer_;
  loop::Timer tick_;
};

}  // namespace bulkhead
