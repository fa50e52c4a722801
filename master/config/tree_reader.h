// The supervision tree of a file: the children, and the keys of each type of child.
#pragma once

#include "master/config/section.h"

namespace bulkhead::config {

// Reads the handler in the option `handler` of a listener or a rule.
[[nodiscard]] Handler read_handler(Context& context, const Entry& entry);

// Reads `children` (an array) into `parent`, whose flags are set; appends the values in effect to `effective`, an
// array.
void read_children(Context& context, const Value& children, const std::string& pointer, Node& parent, Value& effective);

// A number, or the word "unlimited": nothing. And back.
[[nodiscard]] std::optional<std::uint32_t> as_limit(const Value& value);
[[nodiscard]] Value limit_value(std::optional<std::uint32_t> limit);

// max_restarts where the file does not say. A child that keeps crashing is slowed down by its delay, so its supervisor
// needs no limit; one without a delay is stopped by OTP's, 3.
[[nodiscard]] std::optional<std::uint32_t> default_max_restarts(bool all_wait);
// The same for a supervisor whose children have been read; `section` is its own. Called again for the root, once the
// included children have been read too.
void set_default_max_restarts(const Section& section, Node& node, Value& effective);

// Each reads the options of one scope into a node whose type is known.
void read_supervisor(Context& context, const Section& section, Node& node, Value& effective);
void read_listener(Context& context, const Section& section, Node& node, Value& effective);
void read_process(Context& context, const Section& section, Node& node, Value& effective);

}  // namespace bulkhead::config
