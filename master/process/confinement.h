// Translates the configuration into the Confinement that a worker or a process child carries out
// (worker/ipc/confinement.h).
#pragma once

#include "master/config/config.h"
#include "worker/ipc/confinement.h"
#include "worker/sys/result.h"

namespace bulkhead::process {

// Everything except the root and the working directory. An error: more groups than fit. Groups are never left out: a
// handler would be less confined, or less capable, than configured.
[[nodiscard]] sys::Result<ipc::Confinement> confinement_of(const config::ChildKeys& keys);

}  // namespace bulkhead::process
