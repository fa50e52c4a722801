// The error in a text that is not JSON, in words for people. nlohmann reports only that an error exists; from where
// it stopped and what came before, this works out what was expected and what was found.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace bulkhead::config {

// The last thing that the parser had read when it stopped.
enum class Before : std::uint8_t { nothing, object_open, key, object_member, array_open, array_item, everything };

struct SyntaxError {
  std::size_t offset = 0;  // bytes from the start of the text; the size of the text means its end
  std::string message;
};

// `mark` is the offset after the last good token; the bad token follows it, perhaps after a separator.
[[nodiscard]] SyntaxError explain_syntax_error(std::string_view text, std::size_t mark, Before before);

// The length of the JSON number at the beginning of `text`; 0 if it does not begin with one. In "03" the number is the
// 0.
[[nodiscard]] std::size_t number_length(std::string_view text);

// The offset of the first byte at or after `from` that is not JSON white space.
[[nodiscard]] std::size_t skip_space(std::string_view text, std::size_t from);

}  // namespace bulkhead::config
