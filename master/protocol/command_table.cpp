#include "master/protocol/command_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <variant>
#include <vector>

#include "master/config/duration.h"
#include "master/config/nearest.h"
#include "master/config/network.h"
#include "master/supervision/words.h"
#include "worker/sys/signal_name.h"

namespace bulkhead::protocol {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMaxPath = 4096;
constexpr std::size_t kMaxConnectionId = 16;
// Only keeps sums from overflowing: the daemon checks the number of workers itself, and knows the range in words.
constexpr std::int64_t kMaxCount = 9999;

bool is_path(std::string_view text) {
  const auto allowed = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.' || c == '-' || c == '/';
  };
  return !text.empty() && text.size() <= kMaxPath && std::all_of(text.begin(), text.end(), allowed) &&
         !text.ends_with('/') && !text.starts_with('/') && text.find("//") == std::string_view::npos;
}

std::string full_path(std::string_view path) {
  const bool whole = path == "root" || path.starts_with("root/");
  return whole ? std::string(path) : fmt::format("root/{}", path);
}

bool is_connection(std::string_view text) {
  const auto hex = [](char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; };
  return !text.empty() && text.size() <= kMaxConnectionId && std::all_of(text.begin(), text.end(), hex);
}

template <class Number>
std::optional<Number> number(std::string_view text) {
  Number out{};
  const auto result = std::from_chars(text.data(), text.data() + text.size(), out);
  const bool digits_only = !text.empty() && std::isdigit(static_cast<unsigned char>(text.front())) != 0;
  if (!digits_only || result.ec != std::errc() || result.ptr != text.data() + text.size()) return std::nullopt;
  return out;
}

bool is_source(std::string_view text) {
  constexpr std::string_view kUser = "unix:uid=";
  if (text.starts_with(kUser)) return number<std::uint32_t>(text.substr(kUser.size())).has_value();
  return std::holds_alternative<config::Network>(config::parse_network(text));
}

bool is_count(std::string_view text) {
  const auto count = number<std::int64_t>(text);
  return count && *count <= kMaxCount;
}

// "192.0.2.7:4711", "[2001:db8::7]:4711", "unix:uid=1000,pid=4711": as `connections` prints it.
bool is_one_peer(std::string_view text) {
  constexpr std::string_view kPid = ",pid=";
  if (const auto comma = text.find(kPid); comma != std::string_view::npos) {
    return text.starts_with("unix:") && is_source(text.substr(0, comma)) &&
           number<std::uint32_t>(text.substr(comma + kPid.size())).has_value();
  }
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || !number<std::uint16_t>(text.substr(colon + 1))) return false;
  std::string_view address = text.substr(0, colon);
  const bool in_brackets = address.starts_with('[') && address.ends_with(']');
  if (in_brackets) address = address.substr(1, address.size() - 2);
  const bool is_six = address.find(':') != std::string_view::npos;
  return is_six == in_brackets && address.find('/') == std::string_view::npos &&
         std::holds_alternative<config::Network>(config::parse_network(address));
}

std::optional<Json> change_of(std::string_view word) {
  const bool relative = word.starts_with('+') || word.starts_with('-');
  if (!is_count(relative ? word.substr(1) : word)) return std::nullopt;
  return relative ? Json(std::string(word)) : Json(*number<std::int64_t>(word));
}

// A value of a request in the form for the backend; empty if it is not valid.
std::optional<Json> checked(Kind kind, const Json& value) {
  switch (kind) {
    case Kind::flag: return value.is_boolean() ? std::optional(value) : std::nullopt;
    case Kind::sequence:
    case Kind::count: return value.is_number_unsigned() ? std::optional(value) : std::nullopt;
    case Kind::change:
      if (value.is_number_unsigned()) return value_of(kind, std::to_string(value.get<std::uint64_t>()));
      break;
    case Kind::daemon_file:
      if (value.is_string() && !value.get_ref<const std::string&>().starts_with('/')) return std::nullopt;
      break;
    case Kind::child:
      if (value.is_object()) return Json(value.dump());
      break;
    default: break;
  }
  return value.is_string() ? value_of(kind, value.get_ref<const std::string&>()) : std::nullopt;
}

const Parameter* find_parameter(const Command& command, std::string_view name) {
  const auto found = std::find_if(command.parameters.begin(), command.parameters.end(),
                                  [&](const Parameter& p) { return p.name == name; });
  return found == command.parameters.end() ? nullptr : &*found;
}

std::string unknown_parameter_text(const Command& command, std::string_view name) {
  std::vector<std::string_view> known;
  for (const Parameter& parameter : command.parameters) known.push_back(parameter.name);
  if (known.empty())
    return fmt::format("{}: unknown parameter \"{}\"; this command has no parameters", command.name, name);
  const std::string nearest = config::nearest(name, known);
  if (!nearest.empty()) {
    return fmt::format("{}: unknown parameter \"{}\"; did you mean \"{}\"?", command.name, name, nearest);
  }
  return fmt::format("{}: unknown parameter \"{}\"; known are {}", command.name, name, fmt::join(known, ", "));
}

// The nodes' states, each once.
std::vector<std::string_view> states() {
  std::vector<std::string_view> out(supervision::kNodeStateWords.begin(), supervision::kNodeStateWords.end());
  std::ranges::sort(out);
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

// A number of seconds becomes a duration with its unit.
std::optional<Json> duration_of(std::string_view word) {
  std::string text(word);
  if (number<std::uint32_t>(word)) text += "s";
  return config::parse_duration(text) ? std::optional(Json(std::move(text))) : std::nullopt;
}

// "redis" becomes "root/redis@0s".
std::optional<Json> crash_of(std::string_view word) {
  const std::size_t at = word.find('@');
  const std::string_view path = word.substr(0, at);
  const auto time = at == std::string_view::npos ? std::optional(Json("0s")) : duration_of(word.substr(at + 1));
  if (!is_path(path) || !time) return std::nullopt;
  return Json(full_path(path) + "@" + time->get<std::string>());
}

bool is_positional(const Parameter& parameter) {
  return parameter.option.empty() && !parameter.placeholder.empty();
}

std::string words_of(const Parameter& parameter) {
  std::string text(parameter.option);
  if (!parameter.option.empty() && !parameter.placeholder.empty()) text += " ";
  text += parameter.placeholder;
  if (parameter.kind == Kind::child) text += "|-";
  if (parameter.kind == Kind::change) text += "|+N|-N";
  return text;
}

constexpr std::size_t kShown = 64;  // bytes of a word from a peer in an answer

std::string did_you_mean(std::string_view word, const std::vector<std::string_view>& known) {
  const std::string near = word.size() > kShown ? "" : config::nearest(word, known);
  return near.empty() ? "" : fmt::format("; did you mean \"{}\"?", near);
}

std::string in_brackets(const Parameter& parameter, const std::string& text) {
  return parameter.required ? text : "[" + text + "]";
}

}  // namespace

const Command* find_command(std::string_view name) {
  const auto* const found =
      std::find_if(kCommands.begin(), kCommands.end(), [&](const Command& c) { return c.name == name; });
  return found == kCommands.end() ? nullptr : found;
}

std::string nearest_command(std::string_view name, bool locally) {
  std::vector<std::string_view> known;
  for (const Command& command : kCommands) {
    if (locally || !command.local) known.push_back(command.name);
  }
  return did_you_mean(name, known);
}

std::string unknown_command_text(std::string_view name) {
  return fmt::format("no method \"{}\"", name.substr(0, kShown)) + nearest_command(name, false);
}

bool takes_several(const Command& command, const Parameter& parameter) {
  if (parameter.each == Each::no) return false;
  const auto later = std::find_if(&parameter + 1, command.parameters.data() + command.parameters.size(), is_positional);
  return later == command.parameters.data() + command.parameters.size();
}

bool is_repeated(const Parameter& parameter) {
  return parameter.kind == Kind::crash;
}

const Parameter* alternative_to(const Command& command, const Parameter& parameter) {
  const auto found = std::ranges::find(command.parameters, parameter.name, &Parameter::instead_of);
  return parameter.name.empty() || found == command.parameters.end() ? nullptr : &*found;
}

std::string usage_of(const Command& command) {
  std::string out(command.name);
  for (const Parameter& parameter : command.parameters) {
    if (parameter.option.empty() && parameter.placeholder.empty()) continue;
    if (!parameter.instead_of.empty()) continue;  // told with the parameter whose place it takes
    std::string text = words_of(parameter);
    if (takes_several(command, parameter)) text += " ...";
    if (const Parameter* other = alternative_to(command, parameter)) {
      text += "|" + words_of(*other) + (is_repeated(*other) ? " ..." : "");
    }
    out += " " + in_brackets(parameter, text);
  }
  return out;
}

std::optional<Json> value_of(Kind kind, std::string_view word) {
  const auto when = [&](bool good) { return good ? std::optional(Json(std::string(word))) : std::nullopt; };
  switch (kind) {
    case Kind::path: return is_path(word) ? std::optional(Json(full_path(word))) : std::nullopt;
    case Kind::source: return when(is_source(word));
    case Kind::connection: return when(is_connection(word));
    case Kind::peer: return when(is_source(word) || is_one_peer(word));
    case Kind::state: return when(supervision::kNodeStateWords.find(word).has_value());
    case Kind::duration: return duration_of(word);
    case Kind::crash: return crash_of(word);
    case Kind::signal: {
      std::string name = signal_word(word);
      return name.empty() ? std::nullopt : std::optional(Json(std::move(name)));
    }
    case Kind::change: return change_of(word);
    case Kind::sequence:
    case Kind::count: {
      const auto seq = number<std::uint64_t>(word);
      return seq ? std::optional(Json(*seq)) : std::nullopt;
    }
    case Kind::flag: return std::nullopt;
    case Kind::daemon_file: return Json(std::filesystem::absolute(word).string());
    case Kind::child:
    case Kind::text:
    case Kind::local_file: return Json(std::string(word));
  }
  return std::nullopt;
}

std::string_view expectation(Kind kind) {
  switch (kind) {
    case Kind::path: return "a path such as root/web/echo";
    case Kind::source: return "a network such as 192.0.2.0/24 or 2001:db8::/32, an address, or unix:uid=1000";
    case Kind::connection: return "a connection's id, up to 16 hexadecimal digits";
    case Kind::peer: return "a client such as 192.0.2.7, 192.0.2.7:4711, 192.0.2.0/24 or unix:uid=1000";
    case Kind::count: return "a number, 0 or more";
    case Kind::duration: return "a time such as 30s or 5m";
    case Kind::state: return "a state of a node: starting, running, waiting, stopping, stopped or failed";
    case Kind::signal: return "a signal such as TERM";
    case Kind::change: return "a number of workers, or a change such as +1 or -1";
    case Kind::sequence: return "the number of an event, 0 or more";
    case Kind::flag: return "true or false";
    case Kind::child: return "an object, or its text";
    case Kind::text: return "a string";
    case Kind::daemon_file: return "the absolute path of a file";
    case Kind::local_file: return "a file";
    case Kind::crash: return "a process and a time, such as root/redis@1s";
  }
  return "";
}

std::string check_params(const Command& command, Json& params) {
  for (auto& [name, value] : params.items()) {
    const Parameter* parameter = find_parameter(command, name);
    if (parameter == nullptr) return unknown_parameter_text(command, std::string_view(name).substr(0, 64));
    auto good = checked(parameter->kind, value);
    if (!good) {
      const std::string near =
          value.is_string() ? suggestion(parameter->kind, value.get_ref<const std::string&>()) : "";
      return fmt::format("{}: parameter \"{}\": expected {}{}", command.name, name, expectation(parameter->kind), near);
    }
    value = std::move(*good);
  }
  for (const Parameter& parameter : command.parameters) {
    const Parameter* const other = alternative_to(command, parameter);
    const bool replaced = other != nullptr && params.contains(other->name);
    if (replaced && params.contains(parameter.name)) {
      return fmt::format("{}: either \"{}\" or \"{}\", not both", command.name, parameter.name, other->name);
    }
    if (parameter.required && !replaced && !params.contains(parameter.name)) {
      return fmt::format("{}: missing parameter \"{}\": expected {}", command.name, parameter.name,
                         expectation(parameter.kind));
    }
  }
  return {};
}

std::string suggestion(Kind kind, std::string_view word) {
  if (kind == Kind::state) return did_you_mean(word, states());
  if (kind != Kind::signal) return {};
  constexpr std::string_view kPrefix = "SIG";
  std::vector<std::string_view> names;
  for (int signal = 1; signal < sys::kFirstRealTime; ++signal) {
    if (!signal_word(sys::signal_name(signal)).empty()) names.emplace_back(sys::signal_name(signal) + kPrefix.size());
  }
  const bool prefixed = word.size() > kPrefix.size() && (word.starts_with("SIG") || word.starts_with("sig"));
  return did_you_mean(prefixed ? word.substr(kPrefix.size()) : word, names);
}

std::string pattern_of(std::string_view word) {
  constexpr std::string_view kSpecial = "*?[";
  if (word.find_first_of(kSpecial) == std::string_view::npos) return {};
  std::string plain(word);  // a path, once every special character is a letter
  for (char& c : plain) {
    if (std::string_view("*?[]!^").find(c) != std::string_view::npos) c = 'x';
  }
  return is_path(plain) ? full_path(word) : "";
}

std::string signal_word(std::string_view text) {
  std::string upper(text);
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  int signal = sys::signal_number(upper);
  if (const auto given = number<std::uint8_t>(text); given && text == std::to_string(*given)) signal = *given;
  return sys::is_named_signal(signal) ? sys::signal_name(signal) : "";
}

}  // namespace bulkhead::protocol
