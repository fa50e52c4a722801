// The nodes that the patterns of a command line mean: "web*", "root/*/echo". Pure.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "master/protocol/command_table.h"

namespace bulkhead::ctl {

struct Target {
  std::string path;           // or the pattern
  bool is_unmatched = false;  // a pattern that no node matches
};

// Each node once, in the order of the words and, for a pattern, of the tree. A path stays as it is, because the daemon
// knows what to say about one that does not exist. `tree` is the answer to `tree`; an asterisk stands for anything but
// a slash.
[[nodiscard]] std::vector<Target> targets_of(const std::vector<std::string>& words, const nlohmann::ordered_json& tree,
                                             protocol::Each each);

}  // namespace bulkhead::ctl
