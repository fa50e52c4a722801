// From the configuration to what a worker or a process child carries out (worker/ipc/confinement.h).
#pragma once

#include "master/config/config.h"
#include "worker/ipc/confinement.h"
#include "worker/sys/result.h"

namespace bulkhead::process {

// Everything but the root and the working directory. An error: more groups than there is room for. Never with fewer
// than configured: a handler would be less confined, or less able, than it was meant to be.
[[nodiscard]] sys::Result<ipc::Confinement> confinement_of(const config::ChildKeys& keys);

}  // namespace bulkhead::process
