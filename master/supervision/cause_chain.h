// Why a supervisor ended, as sentences for a tired operator. Each supervisor adds one to those of the child it fell
// with.
#pragma once

#include <string>
#include <vector>

#include "master/supervision/node.h"

namespace bulkhead::supervision {

// What became of the child's last run.
[[nodiscard]] Ending ending_of(ExitReason reason);
[[nodiscard]] Ending ending_of(Cause cause);

[[nodiscard]] std::vector<std::string> blame_intensity(const Node& supervisor, const Node& child);
[[nodiscard]] std::vector<std::string> blame_auto_shutdown(const Node& supervisor, const Node& child);
[[nodiscard]] std::vector<std::string> blame_failed_start(const Node& supervisor, const Node& child);

}  // namespace bulkhead::supervision
