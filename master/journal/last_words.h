// What a child itself has written last, from the lines that are kept: for the answer to a start that failed.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "master/journal/memory.h"

namespace bulkhead::journal {

// The text of a line, as it is kept for `path`, without its time, level and path: what a process wrote, or a line of a
// worker's. Nothing: the line is the daemon's own. Pure.
[[nodiscard]] std::optional<std::string> own_words(std::string_view path, std::string_view line);

// The last lines that children at or below `path` have written since `since`, a time as lines have it: at most
// kLastWords, each of at most kLongestWord bytes.
inline constexpr std::size_t kLastWords = 5;
inline constexpr std::size_t kLongestWord = 500;
[[nodiscard]] std::vector<std::string> last_words(const Memory& memory, const std::string& path,
                                                  std::string_view since);

}  // namespace bulkhead::journal
