// Reads one object of the file by the rows of its scope: known keys, required keys, defaults, types, then the setter of
// each row. An error does not stop the reading, so that all errors are found in one pass.
#pragma once

#include <array>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "master/config/check.h"
#include "master/config/context.h"
#include "master/config/option_table.h"

namespace bulkhead::config {

// An object of the file and its position.
struct Section {
  const Value& object;
  std::string pointer;
  Position at;  // position of the object; for a default, of the object around it

  // The position to report for `key`: that of its value, else that of the object.
  [[nodiscard]] Position place_of(std::string_view key) const;
  [[nodiscard]] std::string pointer_of(std::string_view key) const;
};

// One option of a section: a value that matches its row, or null when the key is absent and its default is computed or
// none.
struct Entry {
  const Option& option;
  const Section& section;
  const Value& value;
  bool given;  // the key is in the file
  // The output of --dump-config: a copy of `value`, which the setter may change. It is empty for objects and children,
  // which the setter fills; null: the key is not printed.
  Value& effective;

  [[nodiscard]] std::string pointer() const { return section.pointer_of(option.name); }
  [[nodiscard]] Position at() const { return section.place_of(option.name); }
  [[nodiscard]] bool is_word() const { return config::is_word(option, value); }
};

// The enumerator at the same position as the word in the row.
template <class Enum>
[[nodiscard]] Enum as_enum(const Entry& entry) {
  return static_cast<Enum>(word_index(entry.option, entry.value));
}

template <class Target>
struct Setter {
  std::string_view name;
  void (*set)(Context&, Target&, const Entry&);
};

// Whether `setters` are those of the rows of `scope`, in the same order.
template <class Target, std::size_t N>
[[nodiscard]] constexpr bool covers(const std::array<Setter<Target>, N>& setters, Scope scope) {
  std::size_t next = 0;
  for (const Option& option : kOptions) {
    if (option.scope != scope) continue;
    if (next == N || setters[next].name != option.name) return false;
    ++next;
  }
  return next == N;
}

// `value` as the option means it: where a variable made a string of a number or a boolean, that.
[[nodiscard]] Value as_meant(const Option& option, Value value);

// Reports the keys that are in none of `scopes`, each with the nearest known key. `what` names the place: `in a
// listener`.
void check_keys(Context& context, const Section& section, const std::vector<Scope>& scopes, std::string_view what);

// Reads one row: checks the value, given or default, passes it to `set`, and appends the value in effect to
// `effective`.
void read_option(Context& context, const Option& option, const Section& section, Value& effective,
                 const std::function<void(const Entry&)>& set);

template <class Target, std::size_t N>
void read_options(Context& context, const Section& section, Scope scope, const std::array<Setter<Target>, N>& setters,
                  Target& target, Value& effective) {
  std::size_t next = 0;
  for (const Option& option : kOptions) {
    if (option.scope != scope) continue;
    const auto set = setters[next++].set;
    read_option(context, option, section, effective, [&](const Entry& entry) { set(context, target, entry); });
  }
}

// Reads a whole object of one scope, as the effective value of its own row.
template <class Target, std::size_t N>
void read_object(Context& context, const Entry& entry, Scope scope, const std::array<Setter<Target>, N>& setters,
                 Target& target, std::string_view what) {
  const Section section{entry.value, entry.pointer(), entry.at()};
  check_keys(context, section, {scope}, what);
  Value effective = object_value({});
  read_options(context, section, scope, setters, target, effective);
  entry.effective = std::move(effective);
}

// The same for the scope that has the row's name.
template <class Target, std::size_t N>
void read_object(Context& context, const Entry& entry, const std::array<Setter<Target>, N>& setters, Target& target,
                 std::string_view what) {
  read_object(context, entry, scope_of(entry.option), setters, target, what);
}

}  // namespace bulkhead::config
