// The options of a listener that decide which clients are admitted.
#pragma once

#include <string>
#include <vector>

#include "master/config/section.h"

namespace bulkhead::config {

// One network or a list of them. Reports an entry that is not a network and an entry that is listed twice.
[[nodiscard]] std::vector<Network> read_networks(Context& context, const Entry& entry);

// {"count", "per"} or "unlimited".
[[nodiscard]] Rate read_rate(Context& context, const Entry& entry);

void set_allow(Context& context, Node& node, const Entry& entry);
void set_deny(Context& context, Node& node, const Entry& entry);
void set_max_connection_rate(Context& context, Node& node, const Entry& entry);

// Checks that concern several options.
void check_admission(Context& context, const Section& section, const Listener& listener);

}  // namespace bulkhead::config
