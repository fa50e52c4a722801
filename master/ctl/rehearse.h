// `bulkheadctl simulate`: files in, text out. It needs no daemon.
#pragma once

#include <optional>
#include <string>

#include "worker/sys/result.h"

namespace bulkhead::ctl {

// The whole file, or standard input for "-"; at most 64 MiB.
[[nodiscard]] sys::Result<std::string> read_input(const std::string& path);

struct Rehearsal {
  std::string output;
  std::string error;  // lines for people, without the last newline; if set, `output` is empty
};

// `config` is the configuration whose tree replaces the scenario's own tree.
[[nodiscard]] Rehearsal rehearse(const std::string& scenario, const std::optional<std::string>& config);

}  // namespace bulkhead::ctl
