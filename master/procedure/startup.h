// The start of the daemon: its demands on the system, then its ports, before any child is started. Only here may the
// master block: no client is served yet.
#pragma once

#include <optional>

#include "master/config/config.h"
#include "master/host/service_manager.h"
#include "master/net/inherited_sockets.h"
#include "master/running/listeners.h"
#include "worker/sys/result.h"

namespace bulkhead::procedure {

// Children of a worker that dies become the master's (prctl(2), PR_SET_CHILD_SUBREAPER).
[[nodiscard]] std::optional<sys::Error> become_subreaper();
void warn_of_oom_group();

// Binds the addresses of all listeners below `root`. Returns 0, or the exit status after everything has been logged.
[[nodiscard]] int open_listeners(running::Listeners& listeners, const config::Node& root,
                                 net::InheritedSockets& inherited, host::ServiceManager& manager);

[[nodiscard]] int exit_status_of(const sys::Error& error);

}  // namespace bulkhead::procedure
