// Comments in a configuration file: from // to the end of the line, and from /* to */. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace bulkhead::config {

struct WithoutComments {
  std::string text;                    // as long as before: blanks stand where comments were, and newlines stay
  std::optional<std::size_t> unended;  // the offset of a comment that does not end
};

[[nodiscard]] WithoutComments without_comments(std::string_view text);

}  // namespace bulkhead::config
