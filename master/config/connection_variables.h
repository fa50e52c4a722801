// The environment variables that describe its one connection to a program. They are set or left out for each
// connection. No other value may reach a program under these names, because programs decide by them which clients they
// trust.
#pragma once

#include <string_view>

#include "master/config/section.h"

namespace bulkhead::config {

[[nodiscard]] bool is_connection_variable(std::string_view name) noexcept;

// Reports such names in `env` and `pass_env` of `section`, an object that configures programs for connections.
void check_variables(Context& context, const Section& section);
// The same for the variables of its env_file.
void check_env_file(Context& context, const Section& section, const ChildKeys& keys);

}  // namespace bulkhead::config
