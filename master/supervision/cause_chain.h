// Why a supervisor ended, as sentences for an operator. Each supervisor adds one sentence to those of the child that
// made it end.
#pragma once

#include <string>
#include <vector>

#include "master/supervision/node.h"

namespace bulkhead::supervision {

// How the last run of the child ended.
[[nodiscard]] Ending ending_of(ExitReason reason);
[[nodiscard]] Ending ending_of(Cause cause);

[[nodiscard]] std::vector<std::string> blame_intensity(const Node& supervisor, const Node& child);
[[nodiscard]] std::vector<std::string> blame_auto_shutdown(const Node& supervisor, const Node& child);
[[nodiscard]] std::vector<std::string> blame_failed_start(const Node& supervisor, const Node& child);

}  // namespace bulkhead::supervision
