// "4K", "64M", "1G": an integer and a unit of base 1024, nothing else. Bytes are plain numbers in the file.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace bulkhead::config {

// Empty when `text` is not a size. A size that is too large for the type is returned as the largest one of its unit, so
// that it fails a range check instead of looking like a syntax error.
[[nodiscard]] std::optional<std::uint64_t> parse_size(std::string_view text);

}  // namespace bulkhead::config
