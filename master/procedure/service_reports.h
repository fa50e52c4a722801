// Reports to the service manager while the daemon runs: its state in a sentence, watchdog messages, and the listening
// sockets that the manager keeps for the next start. Does nothing without a service manager.
#pragma once

#include <map>
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
  // Call it once a second, and at every change of phase.
  void report(StopSequence::Phase phase);
  // A socket that the manager keeps outlives even a SIGKILL of the daemon, with its queue; a socket that is closing
  // must not be kept.
  void store_sockets(StopSequence::Phase phase);

 private:
  const running::Listeners& listeners_;
  host::ServiceManager manager_;
  std::map<std::string, std::uint64_t> stored_;  // by name
  loop::Timer watchdog_;
};

}  // namespace bulkhead::procedure
