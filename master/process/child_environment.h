// The environment of programs: the user's HOME, LOGNAME, SHELL and USER, then variables of the daemon's that pass_env
// names, then STATE_DIRECTORY and the like (directories.h), then those of env, each of which override those before;
// without those of unset_env; nothing else. The service manager's variables for the daemon are never passed on, even if
// pass_env names them.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "master/config/config.h"

namespace bulkhead::process {

// getenv(3), or a test's replacement.
using LookUp = std::function<const char*(const char* name)>;

using Variables = std::map<std::string, std::string>;

// For a listener's programs: each connection's own variables are added by the worker, and no variable of the daemon's
// that looks like one of them is passed on.
[[nodiscard]] Variables connection_environment(const config::ChildKeys& keys, const LookUp& look_up);

// For a process: `ready` adds the variables that the program needs to notify the daemon. `notify_address` is used with
// `ready: sd_notify` only. Without WATCHDOG_PID.
[[nodiscard]] Variables process_environment(const config::Process& process, const std::string& notify_address,
                                            const LookUp& look_up);

// NAME=value, sorted.
// The same for its pre_start and post_stop, which have nothing to announce.
[[nodiscard]] Variables command_environment(const config::Process& process, const LookUp& look_up);

[[nodiscard]] std::vector<std::string> lines_of(const Variables& variables);

}  // namespace bulkhead::process
