// The options of a listener that decide who gets in.
#pragma once

#include <string>
#include <vector>

#include "master/config/section.h"

namespace bulkhead::config {

// One network or a list of them. Reports what is none, and what stands there twice.
[[nodiscard]] std::vector<Network> read_networks(Context& context, const Entry& entry);

// {"count", "per"} or "unlimited".
[[nodiscard]] Rate read_rate(Context& context, const Entry& entry);

void set_allow(Context& context, Node& node, const Entry& entry);
void set_deny(Context& context, Node& node, const Entry& entry);
void set_max_connection_rate(Context& context, Node& node, const Entry& entry);

// What holds between options.
void check_admission(Context& context, const Section& section, const Listener& listener);

}  // namespace bulkhead::config
