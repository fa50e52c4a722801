// Where log lines go: opening it, and opening it again after a rotation.
#pragma once

#include <string>

#include "master/config/config.h"
#include "worker/log/log.h"
#include "worker/sys/fd.h"
#include "worker/sys/result.h"

namespace bulkhead::host {

// Two descriptions of the same target. `lines` is nonblocking and our own: an inherited stderr is opened anew through
// /proc/self/fd (proc(5)), so that whoever shares it with us does not find it nonblocking. `handlers` is what programs
// get as their descriptor 2: blocking, as programs expect.
struct LogTarget {
  sys::Fd lines;
  sys::Fd handlers;  // /dev/null where the log is a daemon's socket: what programs write is no record of its protocol
};

[[nodiscard]] log::Transport transport_of(const std::string& target);

// From now on this process writes its lines to `fd`, in the form of the configuration. Call it once.
void configure_log(const config::Log& config, int fd);

// `target` is "stderr", "syslog", "journald" or a path; a file is created with mode 0640, never followed through a
// symbolic link. The sockets are those of syslog(3) and of systemd's journal.
[[nodiscard]] sys::Result<LogTarget> open_log_target(const std::string& target);

}  // namespace bulkhead::host
