#include "master/config/option_table.h"

#include <fmt/format.h>

#include <utility>

namespace bulkhead::config {
namespace {

// One row per Type, in its order: the word in the manual, the phrase in messages, the range if the row has none.
struct TypeText {
  Type type;
  std::string_view name;
  std::string_view phrase;
  std::string_view range;
};

constexpr std::array kTypes{
    TypeText{Type::string, "string", "a string", "any"},
    TypeText{Type::boolean, "boolean", "true or false", "true or false"},
    TypeText{Type::integer, "integer", "an integer", ""},
    TypeText{Type::number, "number", "a number", ""},
    TypeText{Type::duration, "duration", "a duration", ""},
    TypeText{Type::size, "size", "a size", ""},
    TypeText{Type::share, "integer or percentage", "a number of workers", ""},
    TypeText{Type::word, "word", "one of", ""},
    TypeText{Type::path, "path", "a path", "a path of at most 4095 bytes"},
    TypeText{Type::pattern, "pattern", "a pattern such as \"conf.d/*.json\"", "a glob(7) pattern"},
    TypeText{Type::file_mode, "file mode", "a file mode such as \"0600\"", "\"0000\" to \"0777\", octal"},
    TypeText{Type::id, "string", "1 to 64 letters, digits, \"_\", \".\" or \"-\"",
             "1 to 64 letters, digits, \"_\", \".\" or \"-\""},
    TypeText{Type::account, "string", "a name or a number in a string", "a name or a number in a string"},
    TypeText{Type::accounts, "list of strings", "a list of names or numbers of groups", "names or numbers in strings"},
    TypeText{Type::command, "list of strings", "a list of strings: the program and its arguments",
             "the program and its arguments"},
    TypeText{Type::listen, "string or list of strings", "an address such as \"127.0.0.1:4040\" or a list of them",
             "see LISTEN ADDRESSES"},
    TypeText{Type::networks, "string or list of strings", "a network such as \"192.0.2.0/24\" or a list of them",
             "see NETWORKS"},
    TypeText{Type::banner, "string", "a string of at most 4096 bytes", "at most 4096 bytes"},
    TypeText{Type::rate, "object", "an object such as {\"count\": 100, \"per\": \"1s\"}", "see RATE"},
    TypeText{Type::rules, "list of objects", "a list of objects", "see RULES"},
    TypeText{Type::words, "list of words", "a list of", ""},
    TypeText{Type::names, "list of strings", "a list of names of environment variables",
             "names of environment variables"},
    TypeText{Type::calls, "list of strings", "a list of names of system calls", "names from syscalls(2)"},
    TypeText{Type::paths, "list of paths", "a list of absolute paths", "absolute paths"},
    TypeText{Type::directories, "string or list of strings", "a relative path or a list of them",
             "relative paths without \"..\" or \":\""},
    TypeText{Type::ports, "list of integers", "a list of ports from 0 to 65535", "0 to 65535"},
    TypeText{Type::environment, "object of strings", "an object of strings", "names and values"},
    TypeText{Type::exit_statuses, "list of integers", "a list of exit statuses from 0 to 255", "0 to 255"},
    TypeText{Type::exit_durations, "object of durations", "an object of durations such as {\"77\": \"5s\"}",
             "exit statuses \"0\" to \"255\", and \"0s\" to \"8760h\""},
    TypeText{Type::json, "object", "an object", "any object"},
    TypeText{Type::object, "object", "an object", "an object with the keys below"},
    TypeText{Type::children, "list of objects", "a list of objects", "see CHILDREN"},
};

constexpr bool types_in_order() {
  for (std::size_t i = 0; i < kTypes.size(); ++i) {
    if (kTypes[i].type != static_cast<Type>(i)) return false;
  }
  return kTypes.size() == static_cast<std::size_t>(Type::children) + 1;
}
static_assert(types_in_order());

const TypeText& text_of(Type type) {
  return kTypes[static_cast<std::size_t>(type)];
}

constexpr sys::EnumWords<Scope, sys::up_to(Scope::rule)> kScopeWords{"the top level",
                                                                     "daemon",
                                                                     "control",
                                                                     "log",
                                                                     "own_log",
                                                                     "every child",
                                                                     "listener",
                                                                     "handler",
                                                                     "handler with a module",
                                                                     "process",
                                                                     "listener and process",
                                                                     "rlimits",
                                                                     "sandbox",
                                                                     "system_calls",
                                                                     "paths",
                                                                     "network",
                                                                     "the root supervisor",
                                                                     "supervisor",
                                                                     "restart_delay",
                                                                     "rate",
                                                                     "source_prefix",
                                                                     "penalties",
                                                                     "keepalive",
                                                                     "rule"};

// Joins `parts`, unchanged: `"a", "b" or "c"`.
std::string join_or(const std::vector<std::string>& parts) {
  std::string out;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i != 0) out += i + 1 == parts.size() ? " or " : ", ";
    out += parts[i];
  }
  return out;
}

// Writes 1000000 as 1,000,000.
std::string with_commas(double value) {
  std::string digits = fmt::format("{:.0f}", value);
  for (std::size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, 1, ',');
  return digits;
}

std::string limits_text(const Option& option) {
  const auto [low, high] = option.limits;
  if (option.type == Type::duration) return duration_text(low) + " to " + duration_text(high);
  if (option.type == Type::size) return size_text(low) + " to " + size_text(high);
  const std::string numbers = with_commas(low) + " to " + with_commas(high);
  return option.type == Type::share ? numbers + " or \"1%\" to \"100%\"" : numbers;
}

bool has_limits(Type type) {
  return type == Type::integer || type == Type::number || type == Type::duration || type == Type::size ||
         type == Type::share;
}

// The allowed values: the range of the type first, then each word.
std::vector<std::string> alternatives(const Option& option, std::string first) {
  std::vector<std::string> out;
  if (!first.empty()) out.push_back(std::move(first));
  for (const std::string_view word : words_of(option)) out.push_back(fmt::format("\"{}\"", word));
  return out;
}

}  // namespace

std::vector<const Option*> options_of(Scope scope) {
  std::vector<const Option*> out;
  for (const Option& option : kOptions) {
    if (option.scope == scope) out.push_back(&option);
  }
  return out;
}

Scope scope_of(const Option& option) {
  if (option.type == Type::rate) return Scope::rate;
  if (option.name == "log" && option.scope != Scope::top) return Scope::own_log;
  return kScopeWords.find(option.name).value_or(Scope::top);
}

std::vector<std::string_view> words_of(const Option& option) {
  std::vector<std::string_view> out;
  std::string_view rest = option.words;
  while (!rest.empty()) {
    const std::size_t bar = rest.find('|');
    out.push_back(rest.substr(0, bar));
    rest = bar == std::string_view::npos ? "" : rest.substr(bar + 1);
  }
  return out;
}

std::string_view type_text(Type type) {
  return text_of(type).name;
}

std::string_view scope_text(Scope scope) {
  return kScopeWords.text(scope);
}

std::string default_text(const Option& option) {
  return std::string(option.fallback.json.empty() ? option.fallback.words : option.fallback.json);
}

std::string range_text(const Option& option) {
  return join_or(
      alternatives(option, has_limits(option.type) ? limits_text(option) : std::string(text_of(option.type).range)));
}

std::string expectation_text(const Option& option) {
  const std::string_view phrase = text_of(option.type).phrase;
  if (option.type == Type::word || option.type == Type::words) {
    return fmt::format("{} {}", phrase, join_or(alternatives(option, "")));
  }
  if (!has_limits(option.type)) return join_or(alternatives(option, std::string(phrase)));
  return join_or(alternatives(option, fmt::format("{} from {}", phrase, limits_text(option))));
}

std::string duration_text(double milliseconds) {
  constexpr std::array<std::pair<double, std::string_view>, 3> kUnits{{{3600e3, "h"}, {60e3, "m"}, {1e3, "s"}}};
  const auto value = static_cast<std::uint64_t>(milliseconds);
  if (value == 0) return "\"0s\"";
  for (const auto& [unit, name] : kUnits) {
    if (value % static_cast<std::uint64_t>(unit) == 0) {
      return fmt::format("\"{}{}\"", value / static_cast<std::uint64_t>(unit), name);
    }
  }
  return fmt::format("\"{}ms\"", value);
}

std::string span_text(Duration span) {
  using Milliseconds = std::chrono::duration<double, std::milli>;
  const std::string quoted = duration_text(std::chrono::duration_cast<Milliseconds>(span).count());
  return quoted.substr(1, quoted.size() - 2);
}

std::string size_text(double bytes) {
  constexpr std::array<std::pair<std::uint64_t, std::string_view>, 4> kUnits{
      {{1ULL << 40, "T"}, {1ULL << 30, "G"}, {1ULL << 20, "M"}, {1ULL << 10, "K"}}};
  const auto value = static_cast<std::uint64_t>(bytes);
  for (const auto& [unit, name] : kUnits) {
    if (value != 0 && value % unit == 0) return fmt::format("\"{}{}\"", value / unit, name);
  }
  return fmt::format("{}", value);
}

}  // namespace bulkhead::config
