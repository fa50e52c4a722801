// JSON text as a tree with the position of every value. Strings are valid UTF-8. Numbers keep their spelling, so that
// 1e3, 1.0 and 1000 can be told apart. The tree has at most 32 levels (see json_reader.h), so recursion over it is
// safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::config {

// Both count from 1; columns count bytes. 0, 0 means "no position" (a default that was filled in).
struct Position {
  std::uint32_t line = 0;
  std::uint32_t column = 0;
};

struct Member;

struct Value {
  enum class Kind : std::uint8_t { null, boolean, number, string, array, object };
  Kind kind = Kind::null;
  bool expanded = false;        // a string that had a variable: it may stand for a number or a boolean
  Position at;                  // where the value begins
  std::string text;             // boolean: "true" or "false"; number: as written; string: decoded
  std::vector<Value> items;     // array
  std::vector<Member> members;  // object, in order of the file

  [[nodiscard]] const Member* find(std::string_view key) const;  // the first of that name, or null
};

struct Member {
  std::string key;
  Position at;  // where the key begins
  Value value;
};

[[nodiscard]] Value string_value(std::string text);
[[nodiscard]] Value number_value(std::string text);
[[nodiscard]] Value object_value(std::vector<Member> members);

// Appends a member without a position.
void add_member(Value& object, std::string key, Value value);

// JSON text, indented by two spaces, with lists of scalars on one line, ending in a newline.
[[nodiscard]] std::string write_json(const Value& value);

// The same on one line, without spaces or a newline.
[[nodiscard]] std::string write_compact_json(const Value& value);

// `text` as a JSON string with its quotes. Control characters are escaped, so that a message stays one line.
[[nodiscard]] std::string json_string(std::string_view text);

// The same for messages: at most 64 bytes of the text are shown, and an ellipsis.
[[nodiscard]] std::string in_quotes(std::string_view text);

// The value in words, for "got …": `the number 5`, `the string "x"`, `true`, `null`, `a list`, `an object`.
[[nodiscard]] std::string describe(const Value& value);

// Appends one reference token to a JSON pointer (RFC 6901: ~ is ~0, / is ~1).
[[nodiscard]] std::string child_pointer(std::string_view pointer, std::string_view key);
[[nodiscard]] std::string child_pointer(std::string_view pointer, std::size_t index);

}  // namespace bulkhead::config
