// The composition root: turns the world into supervision events, lets the tree decide, carries its commands out. The
// only file that knows everybody. Single-threaded; nothing in here blocks once run() has bound the ports.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "master/config/config.h"
#include "master/control/server.h"
#include "master/daemon_control.h"
#include "master/daemon_endings.h"
#include "master/daemon_reload.h"
#include "master/daemon_upgrade.h"
#include "master/host/log_target.h"
#include "master/host/pid_file.h"
#include "master/host/service_manager.h"
#include "master/journal/event_ring.h"
#include "master/journal/narrator.h"
#include "master/net/listener.h"
#include "master/procedure/stop_sequence.h"
#include "master/process/adoption.h"
#include "master/process/processes.h"
#include "master/process/workers.h"
#include "master/supervision/tree.h"
#include "worker/loop/loop.h"
#include "worker/sys/fd.h"

namespace bulkhead {

// Exit statuses of bulkheadd: sysexits(3)'s numbers (bulkheadd(8), EXIT STATUS).
enum ExitStatus : int {
  kStopped = 0,
  kUsage = 64,
  kAddressInUse = 69,
  kGaveUp = 70,
  kSystemError = 71,
  kAlreadyRunning = 73,
  kNoPermission = 77,
  kBadConfiguration = 78
};

struct DaemonOptions {
  int ready_fd = -1;  // gets one line when everything serves, then is closed
  std::function<void()> on_ready;
  net::InheritedSockets inherited;
  host::PidFile pid_file{};
  std::string version{};
  std::vector<std::string> arguments{};  // the command line, for whoever goes on after an upgrade
  // What the command line has to say about every configuration that is read; may be empty.
  std::function<void(config::Config&)> overrule{};
};

class Daemon {
 public:
  // `effective` is the configuration as --dump-config prints it.
  Daemon(config::Config config, std::string effective, DaemonOptions options, host::LogTarget log);
  ~Daemon();
  // Binds, starts the tree, serves until it ends. Returns the exit status.
  int run();
  // In place of run(), in a program that goes on where another one stopped. Returns the problem; after one nothing may
  // be destroyed, for it is the other program's. Then run_on().
  [[nodiscard]] std::string resume(upgrade::Handover& from, const std::string& rolled_back);
  int run_on();

 private:
  friend class DaemonControl;
  friend class DaemonEndings;
  friend class DaemonReload;
  friend class DaemonUpgrade;
  friend class UpgradeRenewal;
  friend class WorkerRenewal;
  using Instant = supervision::Instant;

  // Gives every node below its tag. `owner` keeps it where it is.
  const config::Node& register_nodes(config::Node& node, const std::shared_ptr<const void>& owner);
  [[nodiscard]] net::Listener* listener_at(const std::string& path);
  [[nodiscard]] const config::Node* node_at(const std::string& path) const;
  void adopt_entries(config::Node& node, const std::string& path, const std::shared_ptr<const void>& owner);
  void take_configuration(std::shared_ptr<config::Config> config, std::string effective);
  void forget_entry(std::uint32_t tag);
  [[nodiscard]] int open_all();
  // Makes and opens the listeners of `node`, which is at `path`, and of what is below it.
  [[nodiscard]] std::optional<sys::Error> add_listeners(const config::Node& node, const std::string& path,
                                                        const net::Listener::Lend& lend = nullptr);
  [[nodiscard]] std::optional<sys::Error> open_listener(net::Listener& listener,
                                                        const net::Listener::Lend& lend = nullptr);
  [[nodiscard]] int open_control();
  [[nodiscard]] static std::optional<sys::Error> become_subreaper();
  void start();

  // The heart: one event after another, each with everything that follows from it.
  void apply(supervision::Event event);
  void carry_out(const supervision::Command& command);
  void start_child(const supervision::StartChild& command);
  [[nodiscard]] bool is_closed_for_good(const net::Listener& listener) const;
  [[nodiscard]] std::optional<sys::Error> start_worker(const supervision::NodeView& view, supervision::RunId run);
  [[nodiscard]] std::optional<sys::Error> start_process(const supervision::NodeView& view, supervision::RunId run);
  // Nothing is told of it and nothing done to it if it has ended already: its exit is on the way, and is its own.
  void tell_stopping(const supervision::report::ChildStopping& stopping);
  void stop_child(supervision::RunId run, bool kill);
  void abort_starts();
  void tree_terminated(const supervision::TreeTerminated& end);
  void arm_deadline();
  void on_deadline();

  void on_signal();
  void choose_signals();  // those that are read now
  void stop_gracefully();
  [[nodiscard]] bool is_stopping() const noexcept;
  void reap();
  void on_worker_exit(pid_t pid, int status);
  void on_process_exit(pid_t pid);
  void on_worker_ready(process::WorkerProcess& worker);
  void on_worker_news(process::WorkerProcess& worker, const process::WorkerNews& news);
  void on_worker_hung(process::WorkerProcess& worker);
  void announce_listener(net::Listener& listener);
  void announce_ready();
  void tell_ready_fd();
  void tell_services();
  void store_sockets();
  void tick();
  void on_phase(procedure::StopSequence::Phase phase);
  void reopen_log();
  void finish(int status);
  void later(std::function<void()> deed);  // when whatever is on the stack now has returned

  std::shared_ptr<config::Config> config_;
  std::string effective_;
  DaemonOptions options_;
  host::LogTarget log_;
  loop::Loop loop_;
  journal::EventRing events_;
  // By ChildSpec::tag: what the tree calls for may have been deleted since. The owner keeps an entry of an earlier
  // configuration alive for as long as something runs by it.
  struct Entry {
    const config::Node* node = nullptr;
    std::shared_ptr<const void> owner;
  };
  std::vector<Entry> nodes_;
  std::uint32_t generation_ = 1;  // counts applied configurations
  std::map<std::string, std::unique_ptr<net::Listener>> listeners_;
  process::ChildSystem system_;
  process::HandlerErrors errors_;
  process::Workers workers_;
  process::Processes processes_;
  process::Adoption adoption_;
  supervision::Tree tree_;
  journal::Narrator narrator_;
  procedure::StopSequence stop_;
  sys::Fd signals_;
  std::unique_ptr<loop::Poll> signal_poll_;
  loop::Timer deadline_;
  loop::Timer tick_;
  loop::Timer later_;
  std::deque<std::function<void()>> deeds_later_;
  DaemonControl control_;
  DaemonEndings endings_;
  DaemonReload reload_;
  DaemonUpgrade upgrade_;
  std::unique_ptr<control::Server> server_;
  std::deque<supervision::Event> pending_;
  bool applying_ = false;
  bool ready_ = false;
  bool finishing_ = false;
  std::uint32_t next_listener_ = 0;
  Instant bind_until_;  // until then a listener waits for its address
  Instant started_;
  host::ServiceManager services_;
  std::set<std::string> stored_;  // names of the sockets that the service manager keeps
  loop::Timer watchdog_;
  int status_ = kStopped;
};

}  // namespace bulkhead
