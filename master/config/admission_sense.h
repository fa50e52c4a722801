// Whether `allow`, `deny` and the rules of a listener leave any client to be served.
#pragma once

#include "master/config/given.h"

namespace bulkhead::config {

// `all_have_addresses`: no client comes through a Unix socket.
void check_sense_of_admission(const Given& given, const Listener& listener, bool all_have_addresses);

}  // namespace bulkhead::config
