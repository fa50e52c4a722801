// "250ms", "5s", "2m", "1h": an integer and a unit, nothing else.
#pragma once

#include <optional>
#include <string_view>

#include "master/supervision/child_spec.h"

namespace bulkhead::config {

// Empty when `text` is not a duration. A duration that is too long for the type is returned as the longest one of its
// unit, so that it fails a range check instead of looking like a syntax error.
[[nodiscard]] std::optional<supervision::Duration> parse_duration(std::string_view text);

}  // namespace bulkhead::config
