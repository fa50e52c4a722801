// bulkheadd in the place of another bulkheadd: executed by it, as the same process (daemon_upgrade.h) or as a dry run.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "master/config/config.h"

namespace bulkhead {

struct Adopting {
  std::string descriptors;  // "7,9": the state, and the program before; -1: it is not to be executed again
  std::string rolled_back;  // we are the program before, once more: why
  bool dry_run = false;
  std::vector<std::string> command_line;          // without any of this
  std::string version;                            // of this program
  std::function<void(config::Config&)> overrule;  // DaemonOptions'
};

// Returns the exit status. Where we cannot take over, the program before is executed again and this does not return.
int adopt(const Adopting& how);

// Of the hidden options that say so.
[[nodiscard]] bool is_adopting_option(const std::string& argument);
// First thing in main(), where such an option says that there is one (upgrade/way_back.h).
void open_way_back(const std::vector<std::string>& command_line, char** argv);

}  // namespace bulkhead
