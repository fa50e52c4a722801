// Whether a value matches its option's row, and the conversions that are safe once it does.
#pragma once

#include <string>

#include "master/config/config.h"
#include "master/config/json_reader.h"
#include "master/config/option_table.h"

namespace bulkhead::config {

// Reports everything that is wrong with `value` by the row alone: type, range, words, list elements. If the result is
// empty, the as_… functions below may be called. A finding about a list element carries the pointer and the position of
// the element.
[[nodiscard]] std::vector<Finding> check(const Option& option, const Value& value, const std::string& pointer);

[[nodiscard]] bool is_word(const Option& option, const Value& value);            // value is one of option.words
[[nodiscard]] std::size_t word_index(const Option& option, const Value& value);  // its place among them
[[nodiscard]] bool as_boolean(const Value& value);
[[nodiscard]] std::uint32_t as_integer(const Value& value);
[[nodiscard]] double as_number(const Value& value);
[[nodiscard]] Duration as_duration(const Value& value);
[[nodiscard]] std::uint64_t as_size(const Value& value);  // bytes
[[nodiscard]] Duration as_seconds(const Value& value);    // a number of seconds
[[nodiscard]] std::vector<std::string> as_strings(const Value& value);
[[nodiscard]] std::vector<std::uint8_t> as_exit_statuses(const Value& value);
[[nodiscard]] std::vector<std::pair<std::uint8_t, Duration>> as_exit_durations(const Value& value);

}  // namespace bulkhead::config
