// The supervision tree of a file: children, and what each type of child has of its own.
#pragma once

#include "master/config/section.h"

namespace bulkhead::config {

// A handler as the option of that name, of a listener or a rule, describes it.
[[nodiscard]] Handler read_handler(Context& context, const Entry& entry);

// Reads `children` (an array) into `parent`, whose flags are set; appends what holds to `effective`, an array.
void read_children(Context& context, const Value& children, const std::string& pointer, Node& parent, Value& effective);

// The options of one scope into a node whose type is known.
void read_supervisor(Context& context, const Section& section, Node& node, Value& effective);
void read_listener(Context& context, const Section& section, Node& node, Value& effective);
void read_process(Context& context, const Section& section, Node& node, Value& effective);

}  // namespace bulkhead::config
