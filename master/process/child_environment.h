// What programs get of the daemon's environment, and what the configuration adds to it: pass_env, then env, the later
// one winning, without unset_env; nothing else. What a service manager tells us in variables of its own is never passed
// on, even if pass_env names it.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "master/config/config.h"

namespace bulkhead::process {

// getenv(3), or a test's.
using LookUp = std::function<const char*(const char* name)>;

using Variables = std::map<std::string, std::string>;

// For a listener's programs: each connection's own variables are added by the worker, and nothing that looks like one
// of them is handed on from us.
[[nodiscard]] Variables connection_environment(const config::ChildKeys& keys, const LookUp& look_up);

// For a process: `ready` adds what the program needs to speak to us. `notify_address` is used with `ready: sd_notify`
// only. Without WATCHDOG_PID.
[[nodiscard]] Variables process_environment(const config::Process& process, const std::string& notify_address,
                                            const LookUp& look_up);

// NAME=value, sorted.
[[nodiscard]] std::vector<std::string> lines_of(const Variables& variables);

}  // namespace bulkhead::process
