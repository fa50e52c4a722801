// Turns JSON text into a tree with positions. Comments are allowed (comments.h); otherwise the rules are RFC 8259 and
// stricter: one value, no byte order mark, no duplicate key, no U+0000, at most 32 levels. The parser is nlohmann's;
// the tree, the positions and the error texts are made here.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "master/config/json_value.h"

namespace bulkhead::config {

inline constexpr std::size_t kMaxDepth = 32;
inline constexpr std::size_t kMaxFileSize = std::size_t{1} << 20U;  // bytes

[[nodiscard]] inline std::string too_large() {
  return "larger than 1 MiB, the most that a configuration file may have";
}

// A problem at a position of one text.
struct Finding {
  Position at;
  std::string pointer;
  std::string message;
};

struct Document {
  std::optional<Value> root;      // absent after a syntax error, which is then the only finding
  std::vector<Finding> findings;  // otherwise: duplicate keys and strings with U+0000, by position
};

// Throws only std::bad_alloc. Time and memory grow linearly with the text (n log n for the keys of one object).
[[nodiscard]] Document read_json(std::string_view text);

}  // namespace bulkhead::config
