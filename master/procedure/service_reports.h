// What the service manager learns of the daemon while it runs: its state in a sentence, that it is alive, and the
// listening sockets that it keeps for the next start. Says nothing where there is no manager.
#pragma once

#include <set>
#include <string>

#include "master/host/service_manager.h"
#include "master/procedure/stop_sequence.h"
#include "master/running/listeners.h"
#include "worker/loop/loop.h"

namespace bulkhead::procedure {

class ServiceReports {
 public:
  // Both references must outlive it.
  ServiceReports(loop::Loop& loop, const running::Listeners& listeners);

  [[nodiscard]] host::ServiceManager& manager() noexcept { return manager_; }
  void start();  // the watchdog, where the manager asks for one
  // Once a second, and at every change of phase.
  void report(StopSequence::Phase phase);
  // What the manager keeps outlives even our SIGKILL, with its queue; a socket that closes must not be kept.
  void store_sockets(StopSequence::Phase phase);

 private:
  const running::Listeners& listeners_;
  host::ServiceManager manager_;
  std::set<std::string> stored_;  // by name
  loop::Timer watchdog_;
};

}  // namespace bulkhead::procedure
