// `bulkheadctl simulate`: files in, text out. Needs no daemon.
#pragma once

#include <optional>
#include <string>

#include "worker/sys/result.h"

namespace bulkhead::ctl {

// The whole file, or standard input for "-"; at most 64 MiB.
[[nodiscard]] sys::Result<std::string> read_input(const std::string& path);

struct Rehearsal {
  std::string output;
  std::string error;  // lines for people, without the last newline; then there is no output
};

// `config` is the configuration whose tree is played on, instead of the scenario's own.
[[nodiscard]] Rehearsal rehearse(const std::string& scenario, const std::optional<std::string>& config);

}  // namespace bulkhead::ctl
