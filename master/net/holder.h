// Finds the process that has an address that could not be bound, for an error message at start. It reads /proc, which
// can take a while.
#pragma once

#include <string>

#include "master/config/config.h"

namespace bulkhead::net {

// "nginx (pid 812)", or "another process" if the kernel does not let this process see which one.
[[nodiscard]] std::string holder_of(const config::ListenAddress& address);

}  // namespace bulkhead::net
