// For each option of the table: a typing error in its name, its key at every wrong place, values of every wrong type,
// and the limits of its range.
#include "master/config/option_table.h"

#include <catch2/catch.hpp>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "master/config/check.h"
#include "tests/unit/config/fake_host.h"
#include "tests/unit/config/samples.h"
#include "tests/unit/config/shapes.h"

namespace bulkhead::config {
namespace {

using Kind = Value::Kind;

// The place in kEverything of an object of each scope.
const char* pointer_of(Scope scope) {
  switch (scope) {
    case Scope::top: return "";
    case Scope::daemon: return "/daemon";
    case Scope::control: return "/control";
    case Scope::log: return "/log";
    case Scope::own_log: return "/supervisor/children/0/log";
    case Scope::child:
    case Scope::child_keys:
    case Scope::listener: return "/supervisor/children/0";
    case Scope::handler: return "/supervisor/children/0/handler";
    case Scope::module: return "/supervisor/children/3/handler";
    case Scope::sandbox: return "/supervisor/children/1/sandbox";
    case Scope::system_calls: return "/supervisor/children/1/sandbox/system_calls";
    case Scope::paths: return "/supervisor/children/1/sandbox/paths";
    case Scope::network: return "/supervisor/children/1/sandbox/network";
    case Scope::restart_delay: return "/supervisor/children/0/restart_delay";
    case Scope::keepalive: return "/supervisor/children/0/keepalive";
    case Scope::process: return "/supervisor/children/1";
    case Scope::rlimits: return "/supervisor/children/0/rlimits";
    case Scope::root:
    case Scope::supervisor: return "/supervisor";
    case Scope::rule: return "/supervisor/children/0/rules/0";
    case Scope::rate: return "/supervisor/children/0/max_connection_rate";
    case Scope::source_prefix: return "/supervisor/children/0/source_prefix";
    case Scope::penalties: return "/supervisor/children/0/penalties";
  }
  return "";
}

Value* find(Value& value, std::string_view pointer) {
  if (pointer.empty()) return &value;
  const std::size_t end = std::min(pointer.find('/', 1), pointer.size());
  const std::string token(pointer.substr(1, end - 1));
  if (value.kind == Kind::array) return find(value.items.at(std::stoul(token)), pointer.substr(end));
  for (Member& member : value.members) {
    if (member.key == token) return find(member.value, pointer.substr(end));
  }
  return nullptr;
}

// kEverything with the `keys` of the object at `pointer` set to `value`, which is JSON.
std::string with(std::string_view pointer, const std::vector<std::string>& keys, std::string_view value) {
  static const Value sample = *read_json(kEverything).root;
  Value root = sample;
  Value* object = find(root, pointer);
  for (const std::string& key : keys) {
    std::erase_if(object->members, [&](const Member& m) { return m.key == key; });
    object->members.push_back({key, {}, *read_json(value).root});
  }
  return write_json(root);
}

Loaded load_with(std::string_view pointer, const std::vector<std::string>& keys, std::string_view value) {
  return parse(with(pointer, keys, value), "t.json", "/etc", FakeHost());
}

// Calls `check` for each option for which `wanted` returns a wrong spelling or value, with the file's problems. All
// options of an object go into one file, for speed; those that the error of another one hides (`type`) come in the next
// file.
using Wanted = std::function<std::optional<std::string>(const Option&)>;  // the key to set
using Told = std::function<bool(const Loaded&, const Option&, const std::string& pointer)>;
void check_by_object(const Wanted& wanted, const std::string& value, const Told& is_told) {
  std::map<std::string, std::vector<std::pair<const Option*, std::string>>> objects;
  for (const Option& option : kOptions) {
    if (const auto key = wanted(option)) objects[pointer_of(option.scope)].emplace_back(&option, *key);
  }
  for (auto& object : objects) {
    const std::string& pointer = object.first;
    auto& options = object.second;
    while (!options.empty()) {
      std::vector<std::string> keys;
      for (const auto& [option, key] : options) keys.push_back(key);
      const Loaded loaded = load_with(pointer, keys, value);
      const auto done = [&](const auto& wrong) { return is_told(loaded, *wrong.first, pointer + "/" + wrong.second); };
      if (std::erase_if(options, done) != 0) continue;
      INFO(pointer << "/" << keys[0] << " " << value << "\n" << texts(loaded));
      CHECK(false);
      break;
    }
  }
}

// Whether a problem at `pointer` begins with `message`.
bool told(const Loaded& loaded, const std::string& pointer, const std::string& message) {
  for (const Problem& problem : loaded.problems) {
    if (problem.pointer == pointer && problem.message.starts_with(message) && problem.line != 0) return true;
  }
  return false;
}

std::set<std::string_view> names_at(Scope scope) {
  std::set<std::string_view> out;
  for (const Option& option : kOptions) {
    const bool here = std::string_view(pointer_of(option.scope)) == pointer_of(scope);
    const bool child = (option.scope == Scope::child || option.scope == Scope::child_keys) && scope == Scope::process;
    if (here || child) out.insert(option.name);
  }
  return out;
}

TEST_CASE("the sample with every option is good and complete") {
  REQUIRE(texts(parse(kEverything, "t.json", "/etc", FakeHost())).empty());
  Value root = *read_json(kEverything).root;
  for (const Option& option : kOptions) {
    if (option.name == "include") continue;       // has its own files: load_test.cpp
    if (option.name == "instances") continue;     // changes the id: expand_test.cpp
    if (option.name == "idle_timeout") continue;  // not for a program on a Unix socket: see the inner one
    INFO(pointer_of(option.scope) << "/" << option.name);
    CHECK(find(root, pointer_of(option.scope) + std::string("/") + std::string(option.name)) != nullptr);
  }
}

TEST_CASE("one wrong letter in any key is an unknown key, and the right key is suggested") {
  const auto typo = [](const Option& option) {
    std::string name(option.name);
    name[name.size() / 2] = 'q';
    return std::optional(name);
  };
  check_by_object(typo, "1", [&](const Loaded& loaded, const Option& option, const std::string& pointer) {
    const bool proposed = texts(loaded).find("did you mean \"" + std::string(option.name) + "\"") != std::string::npos;
    return told(loaded, pointer, "unknown key \"" + *typo(option) + "\"") && (proposed || option.name.size() < 3);
  });
}

TEST_CASE("any key at any other place is an unknown key") {
  const Scope places[] = {
      Scope::top,     Scope::daemon,        Scope::control,   Scope::log,       Scope::own_log,    Scope::listener,
      Scope::handler, Scope::module,        Scope::process,   Scope::rlimits,   Scope::supervisor, Scope::restart_delay,
      Scope::rate,    Scope::source_prefix, Scope::penalties, Scope::keepalive, Scope::rule};
  for (const Scope place : places) {
    const auto known = names_at(place);
    // All in one file: that each is reported shows that none hides another.
    std::vector<std::string> wrong;
    Value root = *read_json(kEverything).root;
    Value* object = find(root, pointer_of(place));
    for (const Option& option : kOptions) {
      if (known.count(option.name) != 0) continue;
      wrong.emplace_back(option.name);
      object->members.push_back({std::string(option.name), {}, number_value("1")});
    }
    const Loaded loaded = parse(write_json(root), "t.json", "/etc", FakeHost());
    for (const std::string& name : wrong) {
      INFO(pointer_of(place) << "/" << name);
      CHECK(told(loaded, pointer_of(place) + ("/" + name), "unknown key"));
    }
  }
}

// The kinds of JSON values that an option accepts.
std::set<Kind> kinds_of(const Option& option) {
  switch (option.type) {
    case Type::boolean: return {Kind::boolean};
    case Type::integer:
    case Type::number: return {Kind::number};
    case Type::share:
    case Type::size: return {Kind::number, Kind::string};
    case Type::listen:
    case Type::directories:
    case Type::networks: return {Kind::string, Kind::array};
    case Type::accounts:
    case Type::command:
    case Type::words:
    case Type::names:
    case Type::calls:
    case Type::paths:
    case Type::ports:
    case Type::exit_statuses:
    case Type::rules:
    case Type::children: return {Kind::array};
    case Type::environment:
    case Type::exit_durations:
    case Type::rate:
    case Type::json:
    case Type::object: return {Kind::object};
    default: return {Kind::string};
  }
}

TEST_CASE("a value of a wrong type is an error that says what was expected") {
  const std::pair<Kind, const char*> values[] = {{Kind::null, "null"}, {Kind::boolean, "true"},
                                                 {Kind::number, "5"},  {Kind::string, "\"!\""},
                                                 {Kind::array, "[]"},  {Kind::object, "{}"}};
  for (const auto& [kind, value] : values) {
    check_by_object(
        [kind = kind](const Option& option) {
          return kinds_of(option).count(kind) != 0 ? std::nullopt : std::optional(std::string(option.name));
        },
        value,
        [](const Loaded& loaded, const Option& option, const std::string& pointer) {
          return told(loaded, pointer, "expected " + expectation_text(option));
        });
  }
}

TEST_CASE("a word that is not in the row is an error that lists the words") {
  const auto word = [](const Option& option) {
    return option.type == Type::word ? std::optional(std::string(option.name)) : std::nullopt;
  };
  for (const char* value : {"\"\"", "\"zzzz\""}) {
    check_by_object(word, value, [](const Loaded& loaded, const Option&, const std::string& pointer) {
      return told(loaded, pointer, "expected one of");
    });
  }
}

std::string spelled(const Option& option, double value) {
  if (option.type != Type::duration) return std::to_string(static_cast<long long>(value));
  return "\"" + std::to_string(static_cast<long long>(value)) + "ms\"";
}

TEST_CASE("values outside a range are refused, its limits are accepted") {
  for (const Option& option : kOptions) {
    if (option.limits.max <= option.limits.min) continue;
    const auto fits = [&](const std::string& text) { return check(option, *read_json(text).root, "").empty(); };
    INFO(scope_text(option.scope) << "/" << option.name);
    CHECK(fits(spelled(option, option.limits.min)));
    CHECK(fits(spelled(option, option.limits.max)));
    CHECK_FALSE(fits(spelled(option, option.limits.min - 1)));
    CHECK_FALSE(fits(spelled(option, option.limits.max + 1)));
  }
}

TEST_CASE("an integer consists of digits only") {
  for (const Option& option : kOptions) {
    if (option.type != Type::integer) continue;
    for (const char* text :
         {"1e3", "1.0", "-0", "-1", "0.5", "2147483648", "4294967296", "4294967297", "9223372036854775808",
          "18446744073709551616", "18446744073709551617", "1e300", "\"10\"", "\"1\""}) {
      INFO(option.name << " " << text);
      if (std::string_view(text) == "-1" && option.limits.min < 0) continue;
      CHECK_FALSE(check(option, *read_json(text).root, "").empty());
    }
  }
}

TEST_CASE("every word of every row is accepted") {
  for (const Option& option : kOptions) {
    for (const std::string_view word : words_of(option)) {
      const bool list = option.type == Type::words;
      const std::string value = (list ? "[\"" : "\"") + std::string(word) + (list ? "\"]" : "\"");
      INFO(option.name << " " << value);
      CHECK(check(option, *read_json(value).root, "").empty());
    }
  }
}

TEST_CASE("every default is valid for its own row") {
  for (const Option& option : kOptions) {
    if (option.fallback.json.empty()) continue;
    INFO(option.name << " " << option.fallback.json);
    const Document document = read_json(option.fallback.json);
    REQUIRE(document.root);
    CHECK(check(option, *document.root, "").empty());
  }
}

TEST_CASE("no scope has a name twice, and every row has a line of help") {
  std::set<std::pair<Scope, std::string_view>> seen;
  for (const Option& option : kOptions) {
    CHECK(seen.insert({option.scope, option.name}).second);
    CHECK(option.help.ends_with('.'));
  }
}

}  // namespace
}  // namespace bulkhead::config
