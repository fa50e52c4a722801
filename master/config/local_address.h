// Whether an address belongs to this system now.
#pragma once

#include "master/config/config.h"

namespace bulkhead::config {

// The errno with which bind(2) refuses the address (not its port, which is left out so that nothing collides), or 0.
// EAFNOSUPPORT: the system has no IPv6, or has it switched off.
[[nodiscard]] int why_not_local(const ListenAddress& address, bool freebind);

// Whether this errno of socket(2) or bind(2) means that the system has no IPv6, or has it switched off.
[[nodiscard]] bool is_without_family(const ListenAddress& address, int error);

}  // namespace bulkhead::config
