#include "master/config/schema.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "master/config/json_reader.h"
#include "master/config/json_value.h"
#include "master/config/option_table.h"

namespace bulkhead::config {
namespace {

constexpr std::string_view kDurationPattern = "^(0|[1-9][0-9]*)(ms|s|m|h)$";
constexpr std::string_view kExitStatusPattern = "^(0|[1-9][0-9]?|1[0-9][0-9]|2[0-4][0-9]|25[0-5])$";
constexpr std::string_view kSizePattern = "^(0|[1-9][0-9]*)[KMGT]$";
constexpr std::string_view kPercentPattern = "^(100|[1-9][0-9]?)%$";
constexpr std::string_view kVariablePattern = "^[^=]+$";
constexpr std::string_view kRelativePattern = "^[^/:]+(/[^/:]+)*$";

Value list_value(std::vector<Value> items) {
  Value value;
  value.kind = Value::Kind::array;
  value.items = std::move(items);
  return value;
}

Value text(std::string_view text_of_it) {
  return string_value(std::string(text_of_it));
}

Value object(std::vector<std::pair<std::string_view, Value>> members) {
  Value out = object_value({});
  for (auto& [key, value] : members) add_member(out, std::string(key), std::move(value));
  return out;
}

Value of_type(std::string_view type) {
  return object({{"type", text(type)}});
}

Value matching(std::string_view pattern) {
  return object({{"type", text("string")}, {"pattern", text(pattern)}});
}

Value list_of(Value element, bool may_be_empty) {
  Value out = object({{"type", text("array")}, {"items", std::move(element)}});
  if (!may_be_empty) add_member(out, "minItems", number_value("1"));
  return out;
}

Value reference(std::string_view definition) {
  return object({{"$ref", text(fmt::format("#/definitions/{}", definition))}});
}

Value within(std::string_view type, const Limits& limits) {
  return object({{"type", text(type)},
                 {"minimum", number_value(fmt::format("{:.0f}", limits.min))},
                 {"maximum", number_value(fmt::format("{:.0f}", limits.max))}});
}

Value any_of(std::vector<Value> choices) {
  return object({{"anyOf", list_value(std::move(choices))}});
}

Value enumeration(const Option& option) {
  std::vector<Value> words;
  for (const std::string_view word : words_of(option)) words.push_back(text(word));
  return object({{"enum", list_value(std::move(words))}});
}

Value some_text() {
  return object({{"type", text("string")}, {"minLength", number_value("1")}});
}

Value environment() {
  return object({{"type", text("object")},
                 {"propertyNames", object({{"pattern", text(kVariablePattern)}})},
                 {"additionalProperties", of_type("string")}});
}

// Where the schema of an object stands.
std::string_view definition_of(const Option& option) {
  return scope_of(option) == Scope::own_log ? scope_text(Scope::own_log) : option.name;
}

// The values that the type allows, without the words that are allowed instead.
Value type_schema(const Option& option) {
  switch (option.type) {
    case Type::string: return of_type("string");
    case Type::boolean: return of_type("boolean");
    case Type::integer: return within("integer", option.limits);
    case Type::number: return within("number", option.limits);
    case Type::duration: return matching(kDurationPattern);
    case Type::size: return any_of({within("integer", option.limits), matching(kSizePattern)});
    case Type::share: return any_of({within("integer", option.limits), matching(kPercentPattern)});
    case Type::word: return enumeration(option);
    case Type::path:
    case Type::pattern:
    case Type::account: return some_text();
    case Type::file_mode: return matching("^0?[0-7]{3}$");
    case Type::id: return matching("^[A-Za-z0-9_.-]{1,64}$");
    case Type::accounts: return list_of(some_text(), true);
    case Type::command: return list_of(of_type("string"), false);
    case Type::networks: return any_of({some_text(), list_of(some_text(), true)});
    case Type::banner: return object({{"type", text("string")}, {"maxLength", number_value("4096")}});
    case Type::rules: return list_of(reference(scope_text(Scope::rule)), true);
    case Type::rate: return reference(scope_text(Scope::rate));
    case Type::listen: return any_of({some_text(), list_of(some_text(), false)});
    case Type::words: return list_of(enumeration(option), true);
    case Type::names: return list_of(matching(kVariablePattern), true);
    case Type::calls: return list_of(some_text(), true);
    case Type::paths: return list_of(matching("^/"), true);
    case Type::directories: return any_of({matching(kRelativePattern), list_of(matching(kRelativePattern), true)});
    case Type::ports: return list_of(within("integer", {0, 65535}), true);
    case Type::environment: return environment();
    case Type::exit_statuses: return list_of(within("integer", {0, 255}), true);
    case Type::exit_durations:
      return object({{"type", text("object")},
                     {"propertyNames", object({{"pattern", text(kExitStatusPattern)}})},
                     {"additionalProperties", matching(kDurationPattern)}});
    case Type::json: return of_type("object");
    case Type::object: return reference(definition_of(option));
    case Type::children: return list_of(reference("child"), true);
  }
  return of_type("string");
}

Value option_schema(const Option& option) {
  const bool enumerated = option.type == Type::word || option.type == Type::words;
  Value schema = type_schema(option);
  if (!option.words.empty() && !enumerated) schema = any_of({std::move(schema), enumeration(option)});
  // Draft 7 ignores the keys beside a $ref.
  if (schema.find("$ref") != nullptr) schema = object({{"allOf", list_value({std::move(schema)})}});
  add_member(schema, "description", text(option.help));
  if (!option.fallback.json.empty()) add_member(schema, "default", *read_json(option.fallback.json).root);
  return schema;
}

// An object with the options of `scopes` and no others. `type` is the only value of its key "type", if it has this key.
Value object_schema(const std::vector<Scope>& scopes, std::string_view type) {
  Value properties = object_value({});
  std::vector<Value> required;
  for (const Option& option : kOptions) {
    for (const Scope scope : scopes) {
      if (option.scope != scope) continue;
      const bool is_type = scope == Scope::child && option.name == "type";
      Value schema = is_type ? object({{"const", text(type)}}) : option_schema(option);
      add_member(properties, std::string(option.name), std::move(schema));
      if (option.fallback.words == kRequired.words) required.push_back(text(option.name));
    }
  }
  Value out = object({{"type", text("object")}, {"properties", std::move(properties)}});
  add_member(out, "additionalProperties", *read_json("false").root);
  if (!required.empty()) add_member(out, "required", list_value(std::move(required)));
  return out;
}

Value definitions() {
  Value out = object(
      {{"child", any_of({reference("child_supervisor"), reference("child_listener"), reference("child_process")})}});
  for (const Scope scope : {Scope::supervisor, Scope::listener, Scope::process}) {
    const std::string name(scope_text(scope));
    std::vector<Scope> scopes{Scope::child, scope};
    if (scope != Scope::supervisor) scopes.push_back(Scope::child_keys);
    add_member(out, "child_" + name, object_schema(scopes, name));
  }
  for (const Option& option : kOptions) {
    if (option.type != Type::object || option.scope == Scope::rule) continue;
    if (option.name == "handler") {
      add_member(out, "handler", any_of({reference("handler_exec"), reference("handler_module")}));
      add_member(out, "handler_exec", object_schema({Scope::handler}, ""));
      add_member(out, "handler_module", object_schema({Scope::module}, ""));
      continue;
    }
    std::vector<Scope> scopes{scope_of(option)};
    if (option.name == "supervisor") scopes.insert(scopes.begin(), Scope::root);
    const std::string name(definition_of(option));
    if (out.find(name) == nullptr) add_member(out, name, object_schema(scopes, ""));
  }
  for (const Scope scope : {Scope::rate, Scope::rule}) {
    add_member(out, std::string(scope_text(scope)), object_schema({scope}, ""));
  }
  return out;
}

}  // namespace

std::string json_schema() {
  Value out = object({{"$schema", text("http://json-schema.org/draft-07/schema#")},
                      {"title", text("bulkhead.json")},
                      {"description", text("Configuration of bulkheadd; see bulkhead.json(5).")}});
  Value top = object_schema({Scope::top}, "");
  for (Member& member : top.members) add_member(out, member.key, std::move(member.value));
  add_member(out, "definitions", definitions());
  return write_json(out);
}

}  // namespace bulkhead::config
