// Compiles what a worker must know (worker/ipc/plan.h) from the configuration and the listener as it stands.
#pragma once

#include "master/config/config.h"
#include "master/net/listener.h"
#include "master/supervision/event.h"
#include "worker/sys/fd.h"
#include "worker/sys/result.h"

namespace bulkhead::process {

// A sealed memfd. `index` names the worker ("root/echo/2" is 2).
[[nodiscard]] sys::Result<sys::Fd> make_worker_plan(const net::Listener& listener, std::uint32_t index,
                                                    supervision::RunId run, std::uint32_t generation,
                                                    const config::Log& log);

}  // namespace bulkhead::process
