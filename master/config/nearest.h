// The nearest of a set of names, for "did you mean". Used here for keys and words, elsewhere for verbs and paths.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::config {

// The candidate that needs the fewest insertions, deletions, changes and swaps of neighbours; the first one of several
// equals. Capitals do not count. Empty when even that candidate needs more than a third of the name's length (but one
// change is always allowed).
[[nodiscard]] std::string nearest(std::string_view name, const std::vector<std::string_view>& candidates);

// The distance itself (optimal string alignment).
[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace bulkhead::config
