// The nearest of a set of names, for "did you mean". Used for keys and words here; for verbs and paths elsewhere.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::config {

// The candidate that takes the fewest insertions, deletions, changes and swaps of neighbours to reach, the first of
// equals; capitals do not count. Empty when even that takes more than a third of the name's length (but one is always
// allowed).
[[nodiscard]] std::string nearest(std::string_view name, const std::vector<std::string_view>& candidates);

// The distance itself (optimal string alignment).
[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace bulkhead::config
