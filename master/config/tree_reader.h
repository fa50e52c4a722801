// The supervision tree of a file: the children, and the keys of each type of child.
#pragma once

#include "master/config/section.h"

namespace bulkhead::config {

// Reads the handler in the option `handler` of a listener or a rule.
[[nodiscard]] Handler read_handler(Context& context, const Entry& entry);

// Reads `children` (an array) into `parent`, whose flags are set; appends the values in effect to `effective`, an
// array.
void read_children(Context& context, const Value& children, const std::string& pointer, Node& parent, Value& effective);

// Each reads the options of one scope into a node whose type is known.
void read_supervisor(Context& context, const Section& section, Node& node, Value& effective);
void read_listener(Context& context, const Section& section, Node& node, Value& effective);
void read_process(Context& context, const Section& section, Node& node, Value& effective);

}  // namespace bulkhead::config
