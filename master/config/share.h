// A part of a whole: a number, or a percentage such as "10%".
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace bulkhead::config {

struct Share {
  std::uint32_t amount = 0;
  bool percent = false;
};

// That part of `whole`: at least one, at most `whole`; a percentage is rounded up.
[[nodiscard]] std::uint32_t share_of(Share share, std::uint32_t whole);

// "1%" to "100%", without leading zeros; empty when `text` is not a percentage.
[[nodiscard]] std::optional<Share> parse_percentage(std::string_view text);

}  // namespace bulkhead::config
