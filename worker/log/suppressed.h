// The words for what a limit keeps out of the log or out of the events, the same for every limit.
#pragma once

#include <cstdint>
#include <string_view>

#include "worker/log/log.h"

namespace bulkhead::log {

struct SuppressedWords {
  std::string_view does = "writes";
  std::string_view thing = "line";
  std::string_view what_was_not_done = "logged";
};

// "writes more than 100 lines a second: 17 lines were not logged", and the field `suppressed`.
void add_suppressed(Line& line, std::uint32_t limit, std::uint64_t suppressed,
                    const SuppressedWords& words = {}) noexcept;

}  // namespace bulkhead::log
