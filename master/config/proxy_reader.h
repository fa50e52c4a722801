// The options of a listener behind a balancer: which PROXY header is read, from which balancers, and how long that may
// take.
#pragma once

#include "master/config/section.h"

namespace bulkhead::config {

void set_handshake_timeout(Context& context, Node& node, const Entry& entry);
void set_proxy_protocol(Context& context, Node& node, const Entry& entry);
void set_proxy_allow_from(Context& context, Node& node, const Entry& entry);
// The default depends on handshake_timeout, whose row comes before this one.
void set_proxy_timeout(Context& context, Node& node, const Entry& entry);

}  // namespace bulkhead::config
