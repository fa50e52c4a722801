// "4K", "64M", "1G": an integer and a unit of base 1024, nothing else. Bytes are plain numbers in the file.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace bulkhead::config {

// Nothing when `text` is not a size. One too large for the type comes back as the largest of its unit that fits, so
// that it fails a range check and is not mistaken for a syntax error.
[[nodiscard]] std::optional<std::uint64_t> parse_size(std::string_view text);

}  // namespace bulkhead::config
