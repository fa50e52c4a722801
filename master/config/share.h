// Some of many: a number, or a percentage such as "10%".
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace bulkhead::config {

struct Share {
  std::uint32_t amount = 0;
  bool percent = false;
};

// Of `whole`: at least one, and no more than there are; a percentage is rounded up.
[[nodiscard]] std::uint32_t share_of(Share share, std::uint32_t whole);

// "1%" to "100%", without leading zeros; nothing when `text` is none.
[[nodiscard]] std::optional<Share> parse_percentage(std::string_view text);

}  // namespace bulkhead::config
