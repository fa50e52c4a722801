// What is wrong with a text that is not JSON, in words for people. nlohmann says only that something is wrong; from
// where it stopped and what came before, this says what was expected there and what was found.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace bulkhead::config {

// What had been read when the parser stopped.
enum class Before : std::uint8_t { nothing, object_open, key, object_member, array_open, array_item, everything };

struct SyntaxError {
  std::size_t offset = 0;  // bytes from the start of the text; the size of the text: its end
  std::string message;
};

// `mark` is the offset behind the last token that was good; the bad one follows it, perhaps after a separator.
[[nodiscard]] SyntaxError explain_syntax_error(std::string_view text, std::size_t mark, Before before);

// The length of the number of JSON that `text` begins with; 0 when it begins with none. In "03" that is the 0.
[[nodiscard]] std::size_t number_length(std::string_view text);

// The offset of the first byte at or after `from` that is not JSON white space.
[[nodiscard]] std::size_t skip_space(std::string_view text, std::size_t from);

}  // namespace bulkhead::config
