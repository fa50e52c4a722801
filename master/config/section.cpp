#include "master/config/section.h"

#include <fmt/format.h>

#include <algorithm>

#include "master/config/nearest.h"
#include "master/config/synonyms.h"
#include "master/config/syntax_error.h"

namespace bulkhead::config {
namespace {

// The defaults as values; the table has them as JSON text.
const Value& default_value(const Option& option) {
  static const std::vector<Value> values = [] {
    std::vector<Value> out;
    for (const Option& row : kOptions) {
      Document document = row.fallback.json.empty() ? Document{} : read_json(row.fallback.json);
      out.push_back(document.root ? *std::move(document.root) : Value{});
    }
    return out;
  }();
  return values[static_cast<std::size_t>(&option - kOptions.data())];
}

std::vector<std::string_view> names_of(const std::vector<Scope>& scopes) {
  std::vector<std::string_view> out;
  for (const Option& option : kOptions) {
    if (std::find(scopes.begin(), scopes.end(), option.scope) != scopes.end()) out.push_back(option.name);
  }
  return out;
}

// Where else a key of this name is allowed, for keys in the wrong place.
std::string home_of(std::string_view name) {
  std::string out;
  for (const Option& option : kOptions) {
    if (option.name != name) continue;
    if (!out.empty()) out += ", ";
    out += scope_text(option.scope);
  }
  return out;
}

// A key of another program's that we know, and that is usable in this place.
std::string advice_text(std::string_view key, const std::vector<std::string_view>& known) {
  const auto advice = advice_for_key(key);
  if (!advice) return "";
  if (advice->ours.empty()) return std::string(advice->reason);
  const bool usable = std::find(known.begin(), known.end(), advice->ours) != known.end();
  return usable ? fmt::format("write \"{}\"", advice->ours) : "";
}

std::string unknown_key(std::string_view key, const std::vector<std::string_view>& known, std::string_view what) {
  const std::string message = fmt::format("unknown key {} {}; ", in_quotes(key), what);
  const std::string advice = advice_text(key, known);
  if (!advice.empty()) return message + advice;
  const std::string home = home_of(key);
  if (!home.empty()) return fmt::format("{}it is a key of {}", message, home);
  const std::string near = nearest(key, known);
  if (!near.empty()) return fmt::format("{}did you mean \"{}\"?", message, near);
  return fmt::format("{}known: {}", message, fmt::join(known, ", "));
}

// A copy, without the parts that the setter of a section or of children builds itself.
Value starting_effective(const Option& option, const Value& value) {
  const bool built =
      option.type == Type::children || (option.type == Type::object && value.kind == Value::Kind::object);
  if (!built) return value;
  Value out;
  out.kind = value.kind;
  return out;
}

}  // namespace

Position Section::place_of(std::string_view key) const {
  const Member* member = object.find(key);
  return member == nullptr ? at : member->value.at;
}

std::string Section::pointer_of(std::string_view key) const {
  return child_pointer(pointer, key);
}

Value as_meant(const Option& option, Value value) {
  if (!value.expanded || is_word(option, value)) return value;
  const bool is_number = !value.text.empty() && number_length(value.text) == value.text.size();
  const bool numeric = option.type == Type::integer || option.type == Type::number || option.type == Type::size ||
                       option.type == Type::share;
  if (numeric && is_number) value.kind = Value::Kind::number;
  if (option.type == Type::boolean && (value.text == "true" || value.text == "false")) {
    value.kind = Value::Kind::boolean;
  }
  return value;
}

void check_keys(Context& context, const Section& section, const std::vector<Scope>& scopes, std::string_view what) {
  const auto known = names_of(scopes);
  for (const Member& member : section.object.members) {
    if (std::find(known.begin(), known.end(), member.key) != known.end()) continue;
    context.report(member.at, section.pointer_of(member.key), unknown_key(member.key, known, what));
  }
}

void read_option(Context& context, const Option& option, const Section& section, Value& effective,
                 const std::function<void(const Entry&)>& set) {
  const Member* given = section.object.find(option.name);
  if (given == nullptr && option.fallback.words == kRequired.words) {
    context.report(section.at, section.pointer, fmt::format("the key \"{}\" is missing", option.name));
    return;
  }
  const Value& written = given == nullptr ? default_value(option) : given->value;
  const Value meant = written.expanded ? as_meant(option, written) : Value{};  // a copy of a whole tree costs
  const Value& value = written.expanded ? meant : written;
  if (given != nullptr) {
    const auto findings = check(option, value, section.pointer_of(option.name));
    context.report(findings);
    if (!findings.empty()) return;
  }
  Value shown = starting_effective(option, value);
  set(Entry{option, section, value, given != nullptr, shown});
  if (shown.kind != Value::Kind::null) add_member(effective, std::string(option.name), std::move(shown));
}

}  // namespace bulkhead::config
