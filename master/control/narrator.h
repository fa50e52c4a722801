// Tells what supervision decides and what processes do: one sentence in the log, one event in the ring. The only place
// that words them.
#pragma once

#include <sys/types.h>

#include <csignal>
#include <map>
#include <string>

#include "master/control/event_ring.h"
#include "master/supervision/command.h"
#include "worker/sys/result.h"

namespace bulkhead::control {

class Narrator {
 public:
  explicit Narrator(EventRing& events) : events_(events) {}

  // A run has a process now. Reports about this run name its pid from here on.
  void started(supervision::RunId run, const std::string& path, pid_t pid, int stop_signal = SIGTERM);
  void start_failed(const std::string& path, const sys::Error& error);
  // How a run's process ended (wait(2)), before the tree hears of it. `remark` finishes the sentence; may be empty.
  void ended(supervision::RunId run, const std::string& path, int wait_status, bool expected,
             const std::string& remark);
  // What the tree decided.
  void tell(const supervision::Report& report);
  void gave_up(const supervision::TreeTerminated& end);

 private:
  struct Run {
    pid_t pid = 0;
    int stop_signal = SIGTERM;
    bool ended = false;
    int wait_status = 0;
  };
  EventRing& events_;
  std::map<supervision::RunId, Run> runs_;
};

// "was killed by SIGSEGV (core dumped)", "ended with exit status 3".
[[nodiscard]] std::string exit_text(int wait_status);

}  // namespace bulkhead::control
