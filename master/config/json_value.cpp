#include "master/config/json_value.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace bulkhead::config {
namespace {

bool is_scalar(const Value& value) {
  return value.kind != Value::Kind::array && value.kind != Value::Kind::object;
}

void append_escaped(std::string& out, char c) {
  const auto byte = static_cast<unsigned char>(c);
  if (c == '"' || c == '\\') {
    out += '\\';
    out += c;
  } else if (c == '\n') {
    out += "\\n";
  } else if (c == '\t') {
    out += "\\t";
  } else if (byte < 0x20 || byte == 0x7f) {
    out += fmt::format("\\u{:04x}", byte);
  } else {
    out += c;
  }
}

void append(std::string& out, const Value& value, std::size_t depth);

// Writes `count` entries between two brackets, one per line; `entry` writes each.
template <class Entry>
void append_block(std::string& out, char open, char close, std::size_t count, std::size_t depth, const Entry& entry) {
  out += open;
  for (std::size_t i = 0; i < count; ++i) {
    out += i == 0 ? "\n" : ",\n";
    out.append(2 * (depth + 1), ' ');
    entry(i);
  }
  if (count != 0) {
    out += '\n';
    out.append(2 * depth, ' ');
  }
  out += close;
}

void append_array(std::string& out, const Value& value, std::size_t depth) {
  if (!std::all_of(value.items.begin(), value.items.end(), is_scalar)) {
    append_block(out, '[', ']', value.items.size(), depth,
                 [&](std::size_t i) { append(out, value.items[i], depth + 1); });
    return;
  }
  out += '[';
  for (std::size_t i = 0; i < value.items.size(); ++i) {
    if (i != 0) out += ", ";
    append(out, value.items[i], depth);
  }
  out += ']';
}

void append(std::string& out, const Value& value, std::size_t depth) {
  switch (value.kind) {
    case Value::Kind::null: out += "null"; return;
    case Value::Kind::boolean:
    case Value::Kind::number: out += value.text; return;
    case Value::Kind::string: out += json_string(value.text); return;
    case Value::Kind::array: append_array(out, value, depth); return;
    case Value::Kind::object:
      append_block(out, '{', '}', value.members.size(), depth, [&](std::size_t i) {
        out += json_string(value.members[i].key) + ": ";
        append(out, value.members[i].value, depth + 1);
      });
      return;
  }
}

}  // namespace

const Member* Value::find(std::string_view key) const {
  const auto found = std::find_if(members.begin(), members.end(), [&](const Member& m) { return m.key == key; });
  return found == members.end() ? nullptr : &*found;
}

Value string_value(std::string text) {
  Value value;
  value.kind = Value::Kind::string;
  value.text = std::move(text);
  return value;
}

Value number_value(std::string text) {
  Value value = string_value(std::move(text));
  value.kind = Value::Kind::number;
  return value;
}

Value object_value(std::vector<Member> members) {
  Value value;
  value.kind = Value::Kind::object;
  value.members = std::move(members);
  return value;
}

void add_member(Value& object, std::string key, Value value) {
  object.members.push_back({std::move(key), {}, std::move(value)});
}

std::string write_json(const Value& value) {
  std::string out;
  append(out, value, 0);
  out += '\n';
  return out;
}

std::string write_compact_json(const Value& value) {
  std::string out;
  const auto separate = [&out](char opening) {
    if (out.back() != opening) out += ',';
  };
  switch (value.kind) {
    case Value::Kind::null: return "null";
    case Value::Kind::boolean:
    case Value::Kind::number: return value.text;
    case Value::Kind::string: return json_string(value.text);
    case Value::Kind::array:
      out = "[";
      for (const Value& item : value.items) {
        separate('[');
        out += write_compact_json(item);
      }
      return out + ']';
    case Value::Kind::object:
      out = "{";
      for (const Member& member : value.members) {
        separate('{');
        out += json_string(member.key) + ":" + write_compact_json(member.value);
      }
      return out + '}';
  }
  return out;
}

std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) append_escaped(out, c);
  out += '"';
  return out;
}

std::string in_quotes(std::string_view text) {
  constexpr std::size_t kShown = 64;
  if (text.size() <= kShown) return json_string(text);
  std::size_t end = kShown;
  // Never cuts inside a character: steps back over UTF-8 continuation bytes.
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0U) == 0x80U) --end;
  return json_string(std::string(text.substr(0, end)) + "…");
}

std::string describe(const Value& value) {
  switch (value.kind) {
    case Value::Kind::null: return "null";
    case Value::Kind::boolean: return value.text;
    case Value::Kind::number: return "the number " + value.text.substr(0, 64);
    case Value::Kind::string: return "the string " + in_quotes(value.text);
    case Value::Kind::array: return value.items.empty() ? "an empty list" : "a list";
    case Value::Kind::object: break;
  }
  return "an object";
}

std::string child_pointer(std::string_view pointer, std::string_view key) {
  std::string out(pointer);
  out += '/';
  for (const char c : key) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else {
      out += c;
    }
  }
  return out;
}

std::string child_pointer(std::string_view pointer, std::size_t index) {
  return fmt::format("{}/{}", pointer, index);
}

}  // namespace bulkhead::config
