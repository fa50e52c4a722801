// Variables of the daemon's environment in the values of a configuration: ${NAME}, and ${NAME:-default} for one that is
// not set or empty. "$${" is a literal "${"; every other "$" is itself. Keys and ids have none.
#pragma once

#include <string>
#include <string_view>

#include "master/config/context.h"
#include "master/config/json_value.h"

namespace bulkhead::config {

// Replaces them in all strings below `value`, and reports those that are not set at their position.
void expand_variables(Context& context, Value& value);

// The opposite for a configuration in effect, which is read again: no string below `value` is expanded then.
void protect_dollars(Value& value);

}  // namespace bulkhead::config
