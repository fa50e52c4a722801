// Compiles a worker's plan (worker/ipc/plan.h) from the configuration and the present state of the listener.
#pragma once

#include "master/config/config.h"
#include "master/net/listener.h"
#include "master/supervision/event.h"
#include "worker/ipc/attention.h"
#include "worker/ipc/exit_statuses.h"
#include "worker/log/log.h"
#include "worker/sys/fd.h"
#include "worker/sys/result.h"

namespace bulkhead::process {

// The target of descriptor 2 of a program or module: as configured, else the default of its style.
[[nodiscard]] config::StandardError standard_error_of(const config::Listener& listener, const config::Handler& handler);
// Whether a worker has to read their standard error.
[[nodiscard]] bool captures_errors(const config::Listener& listener);

// Whether its workers keep the master's raised descriptor limit instead of the limit with which the daemon was started.
[[nodiscard]] bool needs_raised_limit(const config::Listener& listener);

// `normal_exit`, for the process that reaps a connection.
[[nodiscard]] ipc::OnClientGone on_client_gone(const config::Listener& listener);
[[nodiscard]] ipc::ExitStatuses normal_exits(const config::Listener& listener);

struct PlanOfLog {
  const config::Log& config;
  log::Transport transport;  // of the worker's own lines
  bool captures_errors;      // the worker reads what programs write to descriptor 2
};

// A sealed memfd. `index` names the worker ("root/echo/2" is 2).
[[nodiscard]] sys::Result<sys::Fd> make_worker_plan(const net::Listener& listener, std::uint32_t index,
                                                    supervision::RunId run, std::uint32_t generation,
                                                    const PlanOfLog& log);

}  // namespace bulkhead::process
