#include "master/config/given.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

namespace bulkhead::config {

namespace {

bool same(Position a, Position b) {
  return a.line == b.line && a.column == b.column;
}

std::string without_blanks(std::string_view json) {
  std::string out(json);
  std::erase(out, ' ');
  return out;
}

// Whether the value is a default, so that it is harmless to say: of one of the options with this name. That of a
// computed default is in its words.
bool is_default(std::string_view key, const Value& value) {
  const std::string text = write_compact_json(value);
  const auto is_like = [](const Member& member) { return is_default(member.key, member.value); };
  return std::ranges::any_of(kOptions, [&](const Option& option) {
    if (option.name != key) return false;
    const bool json = !option.fallback.json.empty() && without_blanks(option.fallback.json) == text;
    const bool object = value.kind == Value::Kind::object && std::ranges::all_of(value.members, is_like);
    return json || object || option.fallback.words.find(text) != std::string_view::npos;
  });
}

}  // namespace

// A key from `defaults` has been given the position of the object that it was added to.
const Value* Given::object(std::string_view key) const {
  const Member* const member = section_.object.find(key);
  return member == nullptr || same(member->at, section_.at) ? nullptr : &member->value;
}

bool Given::is_number(std::string_view key) const {
  const Value* const value = object(key);
  return value != nullptr && value->kind == Value::Kind::number;
}

void Given::warn(std::string_view key, std::string message) const {
  if (object(key) == nullptr) return;
  context_.warn(section_.place_of(key), section_.pointer_of(key), std::move(message));
}

void Given::has_no_effect(std::string_view key, std::string_view why) const {
  const Value* const value = object(key);
  if (value != nullptr && !is_default(key, *value)) warn(key, fmt::format("it has no effect: {}", why));
}

void Given::blame(std::string_view key, std::string message) const {
  if (section_.object.find(key) == nullptr) return;
  context_.report(section_.place_of(key), section_.pointer_of(key), std::move(message));
}

void Given::warn_at(std::string_view list, std::size_t index, std::string_view key, std::string message) const {
  const Value* const items = object(list);
  if (items == nullptr || index >= items->items.size()) return;
  const Value& item = items->items[index];
  const Section one{item, child_pointer(section_.pointer_of(list), index), item.at};
  context_.warn(one.place_of(key), one.pointer_of(key), std::move(message));
}

}  // namespace bulkhead::config
