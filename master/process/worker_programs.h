// The programs that workers execute. They stay open, so that a package upgrade cannot mix versions.
#pragma once

#include "master/config/config.h"
#include "worker/sys/fd.h"
#include "worker/sys/result.h"

namespace bulkhead::process {

struct WorkerPrograms {
  sys::Fd plain;
  sys::Fd modules;  // bulkhead-module-worker; empty where it is not installed; only listeners with modules need it

  // The descriptor of the one that this listener's workers execute.
  [[nodiscard]] sys::Result<int> of(const config::Listener& listener) const;
};

// Looks next to the own program, in ../libexec/bulkhead, and in the installation directory; never where a variable
// says.
[[nodiscard]] sys::Result<WorkerPrograms> open_worker_programs();

}  // namespace bulkhead::process
