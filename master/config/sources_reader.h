// The options about sources: how many connections a source may have, how often it may connect, and its penalties.
#pragma once

#include "master/config/config.h"
#include "master/config/section.h"

namespace bulkhead::config {

void set_max_connections_per_source(Context& context, Node& node, const Entry& entry);
void set_max_rate_per_source(Context& context, Node& node, const Entry& entry);
void set_source_prefix(Context& context, Node& node, const Entry& entry);
void set_penalties(Context& context, Node& node, const Entry& entry);

}  // namespace bulkhead::config
