// The command line of bulkheadctl, built from the command table.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "master/protocol/command_table.h"

namespace bulkhead::ctl {

// Exit statuses of bulkheadctl (bulkheadctl(8), EXIT STATUS).
enum CtlStatus : int { kOk = 0, kNo = 1, kRefusedByDaemon = 2, kCannotConnect = 3, kCtlUsage = 64 };

// The command, or the reason for running none. Without a command, print `message` (to standard output when the status
// is 0, which means --help or --version) and exit with `status`.
struct Invocation {
  std::string socket;  // empty: the default
  bool json = false;
  const protocol::Command* command = nullptr;
  nlohmann::ordered_json params;  // by Parameter::name; files are still file names
  // Paths and patterns of a parameter of which each match is a request of its own. Empty: `params` is the one request.
  std::vector<std::string> targets;
  std::string message;
  int status = kOk;
};

// `arguments` does not include the program's name.
[[nodiscard]] Invocation parse_command_line(std::vector<std::string> arguments);

}  // namespace bulkhead::ctl
