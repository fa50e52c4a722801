// Files of environment variables, which `env_file` names: one NAME=VALUE a line. Blank lines and lines that begin with
// # are skipped. A value may be in single or double quotes, which are not part of it; between double quotes, a backslash
// before a quote or another backslash is not either. Nothing else has a meaning: no variable is replaced, and no line
// continues another.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "master/config/json_reader.h"
#include "master/config/section.h"

namespace bulkhead::config {

struct EnvFile {
  std::vector<std::pair<std::string, std::string>> variables;  // in the order of the file
  std::vector<Finding> findings;                               // without a pointer
};

// Pure. Names are unique.
[[nodiscard]] EnvFile parse_env_file(std::string_view text);

// The variables of the file at `path`, which is the value of `entry`. Problems of the file are reported with its name
// and line, once for all entries that name it.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> read_env_file(Context& context, const Entry& entry,
                                                                             const std::string& path);

}  // namespace bulkhead::config
