// The options of a listener behind a balancer: what it is told of the client, by whom, and for how long it waits.
#pragma once

#include "master/config/section.h"

namespace bulkhead::config {

void set_handshake_timeout(Context& context, Node& node, const Entry& entry);
void set_proxy_protocol(Context& context, Node& node, const Entry& entry);
void set_proxy_allow_from(Context& context, Node& node, const Entry& entry);
// Its default follows from handshake_timeout, whose row is before this one.
void set_proxy_timeout(Context& context, Node& node, const Entry& entry);

}  // namespace bulkhead::config
