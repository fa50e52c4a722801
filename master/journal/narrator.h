// Tells what supervision decides and what processes do: one sentence in the log, one event in the ring. The only place
// that words them.
#pragma once

#include <sys/types.h>

#include <csignal>
#include <map>
#include <string>
#include <vector>

#include "master/journal/event_ring.h"
#include "master/journal/handover.h"
#include "master/procedure/stop_sequence.h"
#include "master/supervision/command.h"
#include "worker/sys/result.h"

namespace bulkhead::journal {

class Narrator {
 public:
  explicit Narrator(EventRing& events) : events_(events) {}

  // A run has a process now. Reports about this run name its pid from here on.
  void started(supervision::RunId run, const std::string& path, pid_t pid, int stop_signal = SIGTERM);
  void stop_signal_is(supervision::RunId run, int stop_signal);
  void start_failed(const std::string& path, const sys::Error& error);
  // It is asked to end, with its stop signal or SIGKILL. What ends after that ends as asked.
  void stopping(supervision::RunId run, const std::string& path, bool kill);
  [[nodiscard]] bool asked(supervision::RunId run) const;
  // How a run's process ended (wait(2)), before the tree hears of it. `remark` finishes the sentence; may be empty.
  void ended(supervision::RunId run, const std::string& path, int wait_status, bool expected,
             const std::string& remark);
  // What the tree decided.
  void tell(const supervision::Report& report);
  void gave_up(const supervision::TreeTerminated& end);
  // The daemon's stop has come to this phase. drain_done follows drain_started, and nothing else.
  void on_the_way_down(procedure::StopSequence::Phase phase, std::uint32_t connections, config::Duration lame_duck);
  // What it knows of the runs there are, for another program's to go on with.
  [[nodiscard]] std::vector<RunHandover> hand_over() const;
  void resume(const std::vector<RunHandover>& from);

 private:
  struct Run {
    pid_t pid = 0;
    int stop_signal = SIGTERM;
    bool asked = false;
    bool ended = false;
    int wait_status = 0;
    std::string remark;
  };
  EventRing& events_;
  bool draining_ = false;
  std::map<supervision::RunId, Run> runs_;
};

}  // namespace bulkhead::journal
