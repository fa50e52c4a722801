#include "master/config/comments.h"

#include <algorithm>

namespace bulkhead::config {

namespace {

// The offset after the string at `start`. One that does not end on its line is an error, and ends there for us.
std::size_t end_of_string(std::string_view text, std::size_t start) {
  std::size_t i = start + 1;
  while (i < text.size() && text[i] != '"' && text[i] != '\n') i += text[i] == '\\' ? 2U : 1U;
  return std::min(i + 1, text.size());
}

// The offset after the comment at `start`; `start` if there is none, npos if it does not end.
std::size_t end_of_comment(std::string_view text, std::size_t start) {
  const std::string_view opening = text.substr(start, 2);
  if (opening == "//") return std::min(text.find('\n', start), text.size());
  if (opening != "/*") return start;
  const std::size_t close = text.find("*/", start + 2);
  return close == std::string_view::npos ? close : close + 2;
}

void blank(std::string& text, std::size_t from, std::size_t to) {
  for (std::size_t i = from; i < to; ++i) {
    if (text[i] != '\n' && text[i] != '\r') text[i] = ' ';
  }
}

}  // namespace

WithoutComments without_comments(std::string_view text) {
  WithoutComments out{std::string(text), {}};
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] == '"') {
      i = end_of_string(text, i);
      continue;
    }
    const std::size_t end = end_of_comment(text, i);
    if (end == std::string_view::npos) {
      out.unended = i;
      return out;
    }
    blank(out.text, i, end);
    i = std::max(end, i + 1);
  }
  return out;
}

}  // namespace bulkhead::config
