// Whether a worker of the programs beside ours becomes ready: one is started, with a table of its own and no socket, so
// that no client ever meets it, then killed and reaped. For a process that supervises nobody: it waits, and reads
// SIGCHLD, which must be blocked.
#pragma once

#include <chrono>
#include <string>

#include "master/config/config.h"

namespace bulkhead::process {

inline constexpr std::chrono::seconds kTrialPatience{4};

// For a listener with this configuration. Returns the problem, as a sentence without its subject.
[[nodiscard]] std::string try_worker(const std::string& path, const config::Listener& config, const config::Log& log);

}  // namespace bulkhead::process
