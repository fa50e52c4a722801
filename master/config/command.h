// A program and its arguments: `argv` of a process, `exec` of a handler.
#pragma once

#include <string>
#include <vector>

#include "master/config/section.h"

namespace bulkhead::config {

// The list of `entry`, with its program as an absolute path, which also becomes the effective value. Reports a program
// that cannot be executed.
[[nodiscard]] std::vector<std::string> read_command(Context& context, const Entry& entry);

}  // namespace bulkhead::config
