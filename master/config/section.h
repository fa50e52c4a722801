// Reads one object of the file by the rows of its scope: known keys, required keys, defaults, types, then the setter of
// each row. Nothing stops at an error, so that all of them are found in one pass.
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

// An object of the file and where it stands.
struct Section {
  const Value& object;
  std::string pointer;
  Position at;  // of the object; of the one around it when it is a default

  // Where `key` is to be blamed: its value, else the object.
  [[nodiscard]] Position place_of(std::string_view key) const;
  [[nodiscard]] std::string pointer_of(std::string_view key) const;
};

// One option of a section: a value that fits its row, or, when the key is absent and its default is computed or none,
// null.
struct Entry {
  const Option& option;
  const Section& section;
  const Value& value;
  bool given;  // in the file
  // What --dump-config prints: a copy of `value` that the setter may change, empty for objects and children, which the
  // setter fills; null: nothing.
  Value& effective;

  [[nodiscard]] std::string pointer() const { return section.pointer_of(option.name); }
  [[nodiscard]] Position at() const { return section.place_of(option.name); }
  [[nodiscard]] bool is_word() const { return config::is_word(option, value); }
};

// The enumerator whose place in the enumeration is the word's place in the row.
template <class Enum>
[[nodiscard]] Enum as_enum(const Entry& entry) {
  return static_cast<Enum>(word_index(entry.option, entry.value));
}

template <class Target>
struct Setter {
  std::string_view name;
  void (*set)(Context&, Target&, const Entry&);
};

// Whether `setters` are those of the rows of `scope`, in their order.
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

// Reports the keys that stand in none of `scopes`, with the nearest that does. `what` says where we are: `in a
// listener`.
void check_keys(Context& context, const Section& section, const std::vector<Scope>& scopes, std::string_view what);

// One row: checks the value, given or default, and hands it to `set`; appends what holds to `effective`.
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

// The whole of an object that is of one scope, as the effective value of its own row.
template <class Target, std::size_t N>
void read_object(Context& context, const Entry& entry, Scope scope, const std::array<Setter<Target>, N>& setters,
                 Target& target, std::string_view what) {
  const Section section{entry.value, entry.pointer(), entry.at()};
  check_keys(context, section, {scope}, what);
  Value effective = object_value({});
  read_options(context, section, scope, setters, target, effective);
  entry.effective = std::move(effective);
}

// Of the scope that has the row's name.
template <class Target, std::size_t N>
void read_object(Context& context, const Entry& entry, const std::array<Setter<Target>, N>& setters, Target& target,
                 std::string_view what) {
  read_object(context, entry, scope_of(entry.option), setters, target, what);
}

}  // namespace bulkhead::config
