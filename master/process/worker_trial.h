// Tests whether a worker of the programs next to this one becomes ready: starts one with a table of its own and no
// socket, so that it never serves a client, then kills and reaps it with everything that it has started. For a process
// without other children, which becomes a subreaper (prctl(2)): it waits, and reads SIGCHLD, which must be blocked.
#pragma once

#include <chrono>
#include <string>

#include "master/config/config.h"

namespace bulkhead::process {

inline constexpr std::chrono::seconds kTrialPatience{4};

// For a listener with this configuration. Returns the problem, as a sentence without its subject.
[[nodiscard]] std::string try_worker(const std::string& path, const config::Listener& config, const config::Log& log);

}  // namespace bulkhead::process
