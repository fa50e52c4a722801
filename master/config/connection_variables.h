// The environment variables that tell a program about its one connection. They are set for each connection, or absent;
// nobody else's value may get there, because programs decide by them whom they trust.
#pragma once

#include <string_view>

#include "master/config/section.h"

namespace bulkhead::config {

[[nodiscard]] bool is_connection_variable(std::string_view name) noexcept;

// Reports such names in `env` and `pass_env` of `section`, an object that configures programs for connections.
void check_variables(Context& context, const Section& section);

}  // namespace bulkhead::config
