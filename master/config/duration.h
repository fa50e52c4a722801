// "250ms", "5s", "2m", "1h": an integer and a unit, nothing else.
#pragma once

#include <optional>
#include <string_view>

#include "master/supervision/child_spec.h"

namespace bulkhead::config {

// Nothing when `text` is not a duration. One too long for the type comes back as the longest of its unit that fits, so
// that it fails a range check and is not mistaken for a syntax error.
[[nodiscard]] std::optional<supervision::Duration> parse_duration(std::string_view text);

}  // namespace bulkhead::config
