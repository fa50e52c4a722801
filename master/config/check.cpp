#include "master/config/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <utility>

#include "master/config/duration.h"
#include "master/config/nearest.h"
#include "master/config/share.h"
#include "master/config/size.h"
#include "master/config/synonyms.h"

namespace bulkhead::config {
namespace {

using Kind = Value::Kind;

// Compared as written: 1e3, 1.0 and -0 are valid numbers in JSON, but a person who means an integer does not write
// them.
std::optional<std::int64_t> integer_of(const std::string& text) {
  std::int64_t out = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), out);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size() || text == "-0") return std::nullopt;
  return out;
}

std::optional<double> number_of(const std::string& text) {
  double out = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), out);
  const bool whole = result.ptr == text.data() + text.size();
  if (result.ec != std::errc() || !whole || !std::isfinite(out)) return std::nullopt;
  return out;
}

bool within(const Limits& limits, double value) {
  return value >= limits.min && value <= limits.max;
}

// The rules of the types. Each returns true when the value fits; the value is of the kind that the table below gives.
using Fits = bool (*)(const Option&, const Value&);

bool anything(const Option&, const Value&) {
  return true;
}

bool integer_fits(const Option& option, const Value& value) {
  const auto number = integer_of(value.text);
  return number && within(option.limits, static_cast<double>(*number));
}

bool number_fits(const Option& option, const Value& value) {
  const auto number = number_of(value.text);
  return number && within(option.limits, *number);
}

bool duration_fits(const Option& option, const Value& value) {
  const auto duration = parse_duration(value.text);
  return duration && within(option.limits, std::chrono::duration<double, std::milli>(*duration).count());
}

bool size_fits(const Option& option, const Value& value) {
  const auto size = parse_size(value.text);
  return size && within(option.limits, static_cast<double>(*size));
}

bool share_fits(const Option&, const Value& value) {
  return parse_percentage(value.text).has_value();
}

bool is_listed(const Option& option, const Value& value) {
  return is_word(option, value);
}

bool path_fits(const Option& option, const Value& value) {
  constexpr std::size_t kMostBytes = 4095;  // PATH_MAX without its NUL
  if (value.text.empty() || value.text.size() > kMostBytes) return false;
  // If a word is allowed too, a path needs a slash, so that a misspelled word is not taken for a file name.
  return option.words.empty() || value.text.find('/') != std::string::npos;
}

bool absolute_path_fits(const Option& option, const Value& value) {
  return path_fits(option, value) && value.text.starts_with('/');
}

bool banner_fits(const Option&, const Value& value) {
  return value.text.size() <= 4096;  // as much as the buffer of a new connection holds
}

bool file_mode_fits(const Option&, const Value& value) {
  const std::string& text = value.text;
  const bool octal = !text.empty() && text.find_first_not_of("01234567") == std::string::npos;
  return octal && (text.size() == 3 || (text.size() == 4 && text[0] == '0'));
}

bool id_fits(const Option&, const Value& value) {
  constexpr std::string_view kCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
  return !value.text.empty() && value.text.size() <= 64 &&
         value.text.find_first_not_of(kCharacters) == std::string::npos;
}

bool not_empty(const Option&, const Value& value) {
  return !value.text.empty();
}

bool list_not_empty(const Option&, const Value& value) {
  return !value.items.empty();
}

bool is_variable_name(std::string_view name) {
  return !name.empty() && name.find('=') == std::string_view::npos;
}

bool variable_name_fits(const Option&, const Value& value) {
  return is_variable_name(value.text);
}

bool exit_status_fits(const Option&, const Value& value) {
  const auto number = integer_of(value.text);
  return number && *number >= 0 && *number <= 255;
}

bool port_fits(const Option&, const Value& value) {
  const auto number = integer_of(value.text);
  return number && *number >= 0 && *number <= 65535;
}

// The requirements of each type for a value: its kind and a rule. For a list also the kind of its elements, their rule
// and the phrase that describes them.
struct TypeRule {
  Type type;
  Kind kind;
  Fits rule = anything;
  Kind element_kind = Kind::null;  // null: not checked here
  Fits element_rule = anything;
  std::string_view element{};
};

constexpr std::array kRules{
    TypeRule{Type::string, Kind::string},
    TypeRule{Type::boolean, Kind::boolean},
    TypeRule{Type::integer, Kind::number, integer_fits},
    TypeRule{Type::number, Kind::number, number_fits},
    TypeRule{Type::duration, Kind::string, duration_fits},
    TypeRule{Type::size, Kind::string, size_fits},
    TypeRule{Type::share, Kind::string, share_fits},
    TypeRule{Type::word, Kind::string, is_listed},
    TypeRule{Type::path, Kind::string, path_fits},
    TypeRule{Type::pattern, Kind::string, path_fits},
    TypeRule{Type::file_mode, Kind::string, file_mode_fits},
    TypeRule{Type::id, Kind::string, id_fits},
    TypeRule{Type::account, Kind::string, not_empty},
    TypeRule{Type::accounts, Kind::array, anything, Kind::string, not_empty, "a name or a number in a string"},
    TypeRule{Type::command, Kind::array, list_not_empty},  // elements: command.cpp
    TypeRule{Type::listen, Kind::array, list_not_empty},   // elements: socket_reader.cpp
    TypeRule{Type::networks, Kind::array},                 // elements: admission_reader.cpp
    TypeRule{Type::banner, Kind::string, banner_fits},
    TypeRule{Type::rate, Kind::object},
    TypeRule{Type::rules, Kind::array},  // elements: rules_reader.cpp
    TypeRule{Type::words, Kind::array, anything, Kind::string, is_listed, ""},
    TypeRule{Type::names, Kind::array, anything, Kind::string, variable_name_fits, "a name without \"=\""},
    TypeRule{Type::calls, Kind::array, anything, Kind::string, anything,
             "a name of a system call"},  // sandbox_reader.cpp
    TypeRule{Type::paths, Kind::array, anything, Kind::string, absolute_path_fits, "an absolute path"},
    TypeRule{Type::directories, Kind::array},  // elements: belongings_reader.cpp
    TypeRule{Type::ports, Kind::array, anything, Kind::number, port_fits, "a port from 0 to 65535"},
    TypeRule{Type::environment, Kind::object},
    TypeRule{Type::exit_statuses, Kind::array, anything, Kind::number, exit_status_fits, "an integer from 0 to 255"},
    TypeRule{Type::exit_durations, Kind::object},
    TypeRule{Type::json, Kind::object},
    TypeRule{Type::object, Kind::object},
    TypeRule{Type::children, Kind::array},
};

constexpr bool rules_in_order() {
  for (std::size_t i = 0; i < kRules.size(); ++i) {
    if (kRules[i].type != static_cast<Type>(i)) return false;
  }
  return kRules.size() == static_cast<std::size_t>(Type::children) + 1;
}
static_assert(rules_in_order());

std::string suggestion(const Option& option, const Value& value) {
  if (value.kind != Kind::string) return "";
  const std::string_view ours = word_for(option.name, value.text);
  if (!ours.empty()) return fmt::format("; write \"{}\"", ours);
  const auto words = words_of(option);
  std::string word = nearest(value.text, words);
  if (word.empty() && value.text.starts_with("SIG")) word = nearest(std::string_view(value.text).substr(3), words);
  return word.empty() ? "" : fmt::format("; did you mean \"{}\"?", word);
}

// The text to write instead, if it is known.
std::string hint(const Option& option, const Value& value) {
  if (option.type == Type::duration && value.kind == Kind::number) {
    const bool whole = integer_of(value.text).has_value();
    return whole ? fmt::format("; write \"{}s\" if seconds are meant", value.text)
                 : "; a duration has a unit, such as \"250ms\"";
  }
  if (option.type == Type::listen && value.kind == Kind::number) return fmt::format("; write \"{}\"", value.text);
  if (option.type == Type::file_mode && value.kind == Kind::number) return "; write it as a string in octal";
  if (value.kind == Kind::string) {
    std::string near = suggestion(option, value);
    if (!near.empty()) return near;
    if (option.type == Type::duration && value.text == "infinity") return "; it must be finite here";
    if (option.type == Type::duration && !parse_duration(value.text)) {
      return "; a duration is an integer and ms, s, m or h, such as \"250ms\"";
    }
    if (option.type == Type::size && number_of(value.text)) return "; write bytes without quotes";
    if (option.type == Type::size && !parse_size(value.text)) {
      return "; a size is an integer and K, M, G or T, such as \"64K\", or a number of bytes";
    }
    const bool numeric = option.type == Type::integer || option.type == Type::number;
    if (numeric && number_of(value.text)) return "; write it without quotes";
    if (numeric && parse_duration(value.text)) return "; this one is a number without a unit";
    if (option.type == Type::path && !option.words.empty()) return "; a path here must contain a \"/\"";
  }
  return "";
}

std::string mismatch(const Option& option, const Value& value) {
  return fmt::format("expected {}, got {}{}", expectation_text(option), describe(value), hint(option, value));
}

void check_elements(const TypeRule& rule, const Option& option, const Value& list, const std::string& pointer,
                    std::vector<Finding>& out) {
  if (rule.element_kind == Kind::null) return;
  for (std::size_t i = 0; i < list.items.size(); ++i) {
    const Value& item = list.items[i];
    if (item.kind == rule.element_kind && rule.element_rule(option, item)) continue;
    Option one = option;
    one.type = Type::word;  // an element of a list of words is described like a word
    const std::string expected = rule.element.empty() ? expectation_text(one) : std::string(rule.element);
    out.push_back({item.at, child_pointer(pointer, i),
                   fmt::format("expected {}, got {}{}", expected, describe(item), suggestion(option, item))});
  }
}

void check_environment(const Value& object, const std::string& pointer, std::vector<Finding>& out) {
  for (const Member& member : object.members) {
    const std::string here = child_pointer(pointer, member.key);
    if (!is_variable_name(member.key)) {
      out.push_back({member.at, here, fmt::format("expected the name of a variable, got {}", in_quotes(member.key))});
    }
    if (member.value.kind != Kind::string) {
      out.push_back({member.value.at, here, fmt::format("expected a string, got {}", describe(member.value))});
    }
  }
}

std::optional<std::uint8_t> exit_status_of(const std::string& text) {
  const auto number = integer_of(text);
  if (!number || *number < 0 || *number > 255 || std::to_string(*number) != text) return std::nullopt;
  return static_cast<std::uint8_t>(*number);
}

void check_exit_durations(const Value& object, const std::string& pointer, std::vector<Finding>& out) {
  Option one{};
  one.type = Type::duration;
  one.limits = kAnyDuration;
  for (const Member& member : object.members) {
    const std::string here = child_pointer(pointer, member.key);
    if (!exit_status_of(member.key)) {
      out.push_back(
          {member.at, here, fmt::format("expected an exit status from 0 to 255, got {}", in_quotes(member.key))});
    }
    for (Finding& finding : check(one, member.value, here)) out.push_back(std::move(finding));
  }
}

}  // namespace

std::vector<Finding> check(const Option& option, const Value& value, const std::string& pointer) {
  const TypeRule& rule = kRules[static_cast<std::size_t>(option.type)];
  std::vector<Finding> out;
  if (is_word(option, value) && rule.kind != Kind::array) return out;
  const bool alone_or_list =
      option.type == Type::listen || option.type == Type::networks || option.type == Type::directories;
  if (alone_or_list && value.kind == Kind::string) return out;
  const bool number_or_text = option.type == Type::size || option.type == Type::share;
  if (number_or_text && value.kind == Kind::number && integer_fits(option, value)) return out;
  if (value.kind != rule.kind || !rule.rule(option, value)) {
    out.push_back({value.at, pointer, mismatch(option, value)});
    return out;
  }
  check_elements(rule, option, value, pointer, out);
  if (option.type == Type::environment) check_environment(value, pointer, out);
  if (option.type == Type::exit_durations) check_exit_durations(value, pointer, out);
  return out;
}

bool is_word(const Option& option, const Value& value) {
  if (value.kind != Kind::string) return false;
  const auto words = words_of(option);
  return std::find(words.begin(), words.end(), value.text) != words.end();
}

std::size_t word_index(const Option& option, const Value& value) {
  const auto words = words_of(option);
  return static_cast<std::size_t>(std::find(words.begin(), words.end(), value.text) - words.begin());
}

bool as_boolean(const Value& value) {
  return value.text == "true";
}

std::uint32_t as_integer(const Value& value) {
  return static_cast<std::uint32_t>(integer_of(value.text).value_or(0));
}

double as_number(const Value& value) {
  return number_of(value.text).value_or(0);
}

Duration as_duration(const Value& value) {
  return parse_duration(value.text).value_or(Duration::zero());
}

std::uint64_t as_size(const Value& value) {
  if (value.kind == Kind::number) return static_cast<std::uint64_t>(integer_of(value.text).value_or(0));
  return parse_size(value.text).value_or(0);
}

Duration as_seconds(const Value& value) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(as_number(value)));
}

std::vector<std::string> as_strings(const Value& value) {
  std::vector<std::string> out;
  if (value.kind == Kind::string) out.push_back(value.text);
  for (const Value& item : value.items) out.push_back(item.text);
  return out;
}

std::vector<std::uint8_t> as_exit_statuses(const Value& value) {
  std::vector<std::uint8_t> out;
  for (const Value& item : value.items) out.push_back(static_cast<std::uint8_t>(as_integer(item)));
  return out;
}

std::vector<std::pair<std::uint8_t, Duration>> as_exit_durations(const Value& value) {
  std::vector<std::pair<std::uint8_t, Duration>> out;
  for (const Member& member : value.members) {
    if (const auto status = exit_status_of(member.key)) out.emplace_back(*status, as_duration(member.value));
  }
  return out;
}

}  // namespace bulkhead::config
