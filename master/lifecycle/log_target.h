// Where log lines go: opening it, and opening it again after a rotation.
#pragma once

#include <string>

#include "worker/sys/fd.h"
#include "worker/sys/result.h"

namespace bulkhead::lifecycle {

// Two descriptions of the same target. `lines` is nonblocking and our own: an inherited stderr is opened anew through
// /proc/self/fd (proc(5)), so that whoever shares it with us does not find it nonblocking. `handlers` is what programs
// get as their descriptor 2: blocking, as programs expect.
struct LogTarget {
  sys::Fd lines;
  sys::Fd handlers;
};

// `target` is "stderr" or a path; a file is created with mode 0640, never followed through a symbolic link.
[[nodiscard]] sys::Result<LogTarget> open_log_target(const std::string& target);

}  // namespace bulkhead::lifecycle
