#include "master/upgrade/arguments.h"

#include <fmt/format.h>

namespace bulkhead::upgrade {

bool is_adopting_option(std::string_view argument) {
  return argument.starts_with(kAdopt) || argument.starts_with(kRolledBack) || argument == kDryRun;
}

std::vector<std::string> adopting_arguments(std::vector<std::string> arguments, int state, int program) {
  arguments.push_back(fmt::format("{}{},{}", kAdopt, state, program));
  return arguments;
}

}  // namespace bulkhead::upgrade
