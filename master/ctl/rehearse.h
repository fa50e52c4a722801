// `bulkheadctl simulate`: files in, text out. It needs no daemon.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "worker/sys/result.h"

namespace bulkhead::ctl {

// The whole file, or standard input for "-"; at most 64 MiB.
[[nodiscard]] sys::Result<std::string> read_input(const std::string& path);

struct Rehearsal {
  std::string output;  // the text, or the JSON
  std::string error;   // lines for people, without the last newline; if set, `output` is empty
};

// `params` are those of `simulate`. The configuration's tree replaces the scenario's own. As JSON a scenario is printed
// with its expectations filled in, and crashes as simulation::tell_crashes() tells them.
[[nodiscard]] Rehearsal rehearse(const nlohmann::ordered_json& params, bool json);

}  // namespace bulkhead::ctl
