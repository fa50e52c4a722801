// Reports what supervision decides and what processes do: one line in the log, one event in the ring. It decides
// nothing. Only journal/ words these texts, so that the same event has the same words everywhere.
#pragma once

#include <sys/types.h>

#include <csignal>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "master/journal/event_ring.h"
#include "master/journal/handover.h"
#include "master/net/end_phase.h"
#include "master/net/listener.h"
#include "master/net/socket_repair.h"
#include "master/supervision/command.h"
#include "worker/ipc/message.h"
#include "worker/sys/result.h"

namespace bulkhead::journal {

class Narrator {
 public:
  explicit Narrator(EventRing& events) : events_(events) {}

  // A run has a process now. Reports about this run name its pid from here on.
  void started(supervision::RunId run, const std::string& path, pid_t pid, int stop_signal = SIGTERM);
  void stop_signal_is(supervision::RunId run, int stop_signal);
  void start_failed(const std::string& path, const sys::Error& error);
  // The run is about to get its stop signal, or with `kill` SIGKILL.
  void stopping(supervision::RunId run, const std::string& path, bool kill);
  // How a run's process ended (wait(2)), before the tree gets the event: the log line and child_exited. `asked`: the
  // master had signalled it. `remark` ends the log line (exit_text.h); may be empty.
  void ended(supervision::RunId run, const std::string& path, int wait_status, bool expected, bool asked,
             const std::string& remark);
  // A decision of the tree.
  void tell(const supervision::Report& report);
  // The root ends by itself; `chain` as in supervision::TreeEnding.
  void gave_up(supervision::Cause cause, const std::vector<std::string>& chain);
  // The end of a listener, or of the daemon ("root"), has reached this phase. drain_done is published only after
  // drain_started. The line has a count of connections only if one is given.
  void on_the_way_down(const std::string& path, net::EndPhase phase, config::Duration lame_duck,
                       std::optional<std::uint32_t> connections = std::nullopt);
  void drain_continues(const std::string& path);  // another program has published drain_started
  void drain_called_off(const std::string& path);
  // The listener's port has been closed, because none of its workers will be started again.
  void abandoned(const std::string& listener);

  void bound(const net::Listener& listener);
  void serving(const net::Listener& listener);  // its workers are ready
  void set_suspended(const std::string& listener, bool on);
  // A listening socket that was lost listens again, or cannot yet.
  void socket_repaired(const std::string& listener, const std::string& address, net::Fault fault);
  void socket_lost(const std::string& listener, const std::string& address, net::Fault fault, const sys::Error& error);
  void worker_recycled(const std::string& worker, pid_t pid, const std::string& why);
  void accept_paused(const std::string& listener, const std::string& worker, ipc::PauseReason reason, int error);
  void accept_resumed(const std::string& listener, const std::string& worker);
  void adopted(const std::string& listener, const std::string& worker, std::uint32_t count);
  // `client_gone`: not a crash, the client left first.
  void connection_failed(const std::string& listener, std::uint64_t id, pid_t pid, bool client_gone);
  void worker_hung(const std::string& worker, pid_t pid);
  void watchdog_expired(const std::string& path);

  // Its records of the existing runs, for the narrator of another program to continue with.
  [[nodiscard]] std::vector<RunHandover> hand_over() const;
  void resume(const std::vector<RunHandover>& from);

 private:
  struct Teller;  // of the tree's decisions
  struct Run {
    pid_t pid = 0;
    int stop_signal = SIGTERM;
    bool asked = false;
    bool ended = false;
    int wait_status = 0;
    std::string remark;
  };
  EventRing& events_;
  std::set<std::string> draining_;  // paths whose drain_started has been published
  std::map<supervision::RunId, Run> runs_;
};

}  // namespace bulkhead::journal
