#include "master/config/syntax_error.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>

#include "master/config/json_value.h"
#include "worker/log/utf8.h"

namespace bulkhead::config {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.' || c == '+' || c == '-';
}

// Where the bad token begins, and what was expected there.
struct Expectation {
  std::size_t start;
  std::string what;
  std::string hint;
};

Expectation after_comma(std::string_view text, std::size_t comma, char close, const char* what) {
  const std::size_t start = skip_space(text, comma + 1);
  const bool trailing = start < text.size() && text[start] == close;
  return {start, fmt::format("{} after \",\"", what), trailing ? "; no comma may follow the last entry" : ""};
}

Expectation expectation(std::string_view text, std::size_t mark, Before before) {
  const std::size_t start = skip_space(text, mark);
  const char next = start < text.size() ? text[start] : '\0';
  switch (before) {
    case Before::nothing: return {start, "a JSON value", ""};
    case Before::object_open: return {start, "a key in double quotes or \"}\"", ""};
    case Before::array_open: return {start, "a value or \"]\"", ""};
    case Before::key:
      if (next == ':') return {skip_space(text, start + 1), "a value after \":\"", ""};
      return {start, "\":\" after the key", ""};
    case Before::object_member:
      if (next == ',') return after_comma(text, start, '}', "a key in double quotes");
      return {start, "\",\" or \"}\"", ""};
    case Before::array_item:
      if (next == ',') return after_comma(text, start, ']', "a value");
      return {start, "\",\" or \"]\"", ""};
    case Before::everything: break;
  }
  return {start, "the end of the file", "; a file must contain exactly one JSON value"};
}

// The code unit of the \uXXXX at `i`; empty if it is not one.
std::optional<unsigned> code_unit(std::string_view text, std::size_t i) {
  if (text.substr(i, 2) != "\\u" || i + 6 > text.size()) return std::nullopt;
  unsigned unit = 0;
  for (const char c : text.substr(i + 2, 4)) {
    if (std::isxdigit(static_cast<unsigned char>(c)) == 0) return std::nullopt;
    const int digit = c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
    unit = unit * 16 + static_cast<unsigned>(digit);
  }
  return unit;
}

// The length of the escape at `i`; 0 if it is not one. Surrogates count only as a pair.
std::size_t escape_length(std::string_view text, std::size_t i) {
  constexpr std::string_view kSingle = "\"\\/bfnrt";
  if (i + 1 < text.size() && kSingle.find(text[i + 1]) != std::string_view::npos) return 2;
  const auto unit = code_unit(text, i);
  if (!unit) return 0;
  if (*unit < 0xd800 || *unit > 0xdfff) return 6;
  const auto low = code_unit(text, i + 6);
  return *unit <= 0xdbff && low && *low >= 0xdc00 && *low <= 0xdfff ? 12 : 0;
}

// The error inside the string that begins at `start`; empty if the string is valid.
std::optional<SyntaxError> string_error(std::string_view text, std::size_t start) {
  std::size_t i = start + 1;
  while (i < text.size() && text[i] != '"') {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte == '\n' || byte == '\r') return SyntaxError{start, "the string does not end on its line"};
    if (byte < 0x20)
      return SyntaxError{i, fmt::format("a string may contain this control character only as \\u{:04x}", byte)};
    const std::size_t length = byte == '\\' ? escape_length(text, i) : log::first_character(text.substr(i)).length;
    if (length == 0 && byte == '\\') {
      return SyntaxError{i, R"(not a JSON escape; JSON has \" \\ \/ \b \f \n \r \t and \uXXXX, surrogates in pairs)"};
    }
    if (length == 0) return SyntaxError{i, fmt::format("invalid UTF-8: byte 0x{:02x}", byte)};
    i += length;
  }
  if (i < text.size()) return std::nullopt;
  return SyntaxError{start, "the string does not end: the file ends before its closing quote"};
}

// The letters, digits and signs around `start`: a misspelled word or number.
std::string_view word_around(std::string_view text, std::size_t start, std::size_t mark) {
  std::size_t begin = start;
  if (start == mark) {
    while (begin > 0 && is_word(text[begin - 1])) --begin;
  }
  std::size_t end = start;
  while (end < text.size() && is_word(text[end])) ++end;
  return text.substr(begin, end - begin);
}

// A literal with wrong capitals, such as True or NULL.
std::string_view literal_like(std::string_view word) {
  constexpr std::array<std::string_view, 3> kLiterals{"true", "false", "null"};
  const auto same = [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; };
  for (const std::string_view literal : kLiterals) {
    if (std::equal(word.begin(), word.end(), literal.begin(), literal.end(), same)) return literal;
  }
  return "";
}

std::string word_hint(std::string_view word) {
  if (number_length(word) == word.size()) return "";
  if (const auto literal = literal_like(word); !literal.empty()) return fmt::format("; write {}", literal);
  const std::string_view digits = word.starts_with('-') ? word.substr(1) : word;
  if (digits.size() > 1 && digits[0] == '0' && std::isdigit(static_cast<unsigned char>(digits[1])) != 0) {
    return "; a number does not begin with 0";
  }
  if (std::isalpha(static_cast<unsigned char>(word[0])) != 0) return "; words must be in double quotes";
  return "; this is not a JSON number";
}

std::string character_hint(char c) {
  if (c == '/' || c == '#') return "; a comment begins with // or /*";
  if (c == '\'') return "; strings must be in double quotes";
  return "";
}

SyntaxError unexpected(std::string_view text, const Expectation& expected, std::string_view found,
                       std::string_view hint) {
  const auto offset = std::min(expected.start, text.size());
  return {offset,
          fmt::format("expected {}, found {}{}", expected.what, found, expected.hint.empty() ? hint : expected.hint)};
}

std::string character_name(char c) {
  const auto byte = static_cast<unsigned char>(c);
  if (byte == 0) return "a NUL byte";
  return byte < 0x80 ? in_quotes(std::string_view(&c, 1)) : fmt::format("byte 0x{:02x}", byte);
}

}  // namespace

std::size_t number_length(std::string_view text) {
  std::size_t i = text.starts_with('-') ? 1 : 0;
  const auto digits = [&] {
    const std::size_t begin = i;
    while (i < text.size() && std::isdigit(static_cast<unsigned char>(text[i])) != 0) ++i;
    return i > begin;
  };
  if (i < text.size() && text[i] == '0') {
    ++i;
  } else if (!digits()) {
    return 0;
  }
  std::size_t end = i;
  if (i < text.size() && text[i] == '.') {
    ++i;
    if (!digits()) return end;
    end = i;
  }
  if (i < text.size() && (text[i] | 0x20) == 'e') {
    ++i;
    if (i < text.size() && (text[i] == '+' || text[i] == '-')) ++i;
    if (digits()) end = i;
  }
  return end;
}

std::size_t skip_space(std::string_view text, std::size_t from) {
  return std::min(text.find_first_not_of(kSpace, from), text.size());
}

SyntaxError explain_syntax_error(std::string_view text, std::size_t mark, Before before) {
  Expectation expected = expectation(text, mark, before);
  if (expected.start >= text.size()) return unexpected(text, expected, "the end of the file", "");
  const char c = text[expected.start];
  if (c == '"') {
    if (auto error = string_error(text, expected.start)) return *error;
    return unexpected(text, expected, "a string", "");
  }
  if (!is_word(c)) return unexpected(text, expected, character_name(c), character_hint(c));
  const std::string_view word = word_around(text, expected.start, mark);
  const auto begin = static_cast<std::size_t>(word.data() - text.data());
  // The beginning of the word was taken for a number, like the 5 of 5s: the error is the whole word.
  if (begin < expected.start) expected = {begin, "a value", ""};
  return unexpected(text, expected, word.substr(0, 64), word_hint(word));
}

}  // namespace bulkhead::config
