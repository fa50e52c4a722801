// The composition root: turns the world into supervision events, lets the tree decide, carries its commands out. The
// only file that knows everybody. Single-threaded; nothing in here blocks once run() has bound the ports.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <deque>
#include <map>
#include <memory>
#include <string>

#include "master/config/config.h"
#include "master/control/event_ring.h"
#include "master/control/narrator.h"
#include "master/lifecycle/log_target.h"
#include "master/lifecycle/stop_sequence.h"
#include "master/net/listener.h"
#include "master/process/adoption.h"
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
};

class Daemon {
 public:
  Daemon(config::Config config, DaemonOptions options, lifecycle::LogTarget log);
  ~Daemon();
  // Binds, starts the tree, serves until it ends. Returns the exit status.
  int run();

 private:
  using Instant = supervision::Instant;

  [[nodiscard]] int open_listeners(const config::Node& node, const std::string& path);
  void become_subreaper();
  void start();

  // The heart: one event after another, each with everything that follows from it.
  void apply(supervision::Event event);
  void carry_out(const supervision::Command& command);
  void start_child(const supervision::StartChild& command);
  void stop_child(supervision::NodeId node, supervision::RunId run, bool kill);
  void tree_terminated(const supervision::TreeTerminated& end);
  void arm_deadline();
  void on_deadline();

  void on_signal();
  void reap();
  void on_worker_exit(pid_t pid, int status);
  void on_worker_ready(process::WorkerProcess& worker);
  void on_worker_news(process::WorkerProcess& worker, const ipc::Message& message);
  void announce_listener(net::Listener& listener);
  void announce_ready();
  void on_phase(lifecycle::StopSequence::Phase phase);
  void reopen_log();
  void finish(int status);

  [[nodiscard]] net::Listener* listener_of(const std::string& worker_path);

  config::Config config_;
  DaemonOptions options_;
  lifecycle::LogTarget log_;
  loop::Loop loop_;
  control::EventRing events_;
  std::map<std::string, const config::Node*> nodes_;  // by path; listeners and processes
  std::map<std::string, std::unique_ptr<net::Listener>> listeners_;
  process::Workers workers_;
  process::Adoption adoption_;
  supervision::Tree tree_;
  control::Narrator narrator_;
  lifecycle::StopSequence stop_;
  sys::Fd signals_;
  std::unique_ptr<loop::Poll> signal_poll_;
  loop::Timer deadline_;
  loop::Timer tick_;
  std::deque<supervision::Event> pending_;
  bool applying_ = false;
  bool ready_ = false;
  int status_ = kStopped;
};

}  // namespace bulkhead
