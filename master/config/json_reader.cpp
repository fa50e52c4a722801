#include "master/config/json_reader.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <nlohmann/json.hpp>
#include <tuple>
#include <utility>

#include "master/config/comments.h"
#include "master/config/syntax_error.h"

namespace bulkhead::config {
namespace {

using Json = nlohmann::json;

// Iterates over the text and counts the characters that the parser has taken: the SAX events carry no position.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, std::size_t* taken) : at_(at), taken_(taken) {}
  const char& operator*() const { return *at_; }
  CountingIterator& operator++() {
    ++at_;
    ++*taken_;
    return *this;
  }
  bool operator==(const CountingIterator& other) const { return at_ == other.at_; }
  bool operator!=(const CountingIterator& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  std::size_t* taken_;
};

// Turns offsets into lines and columns. Offsets come in ascending order, except for the one syntax error, so each byte
// is looked at once.
class Lines {
 public:
  explicit Lines(std::string_view text) : text_(text) {}

  Position at(std::size_t offset) {
    if (offset < cursor_) *this = Lines(text_);
    for (; cursor_ < offset; ++cursor_) {
      if (text_[cursor_] != '\n') continue;
      ++line_;
      line_start_ = cursor_ + 1;
    }
    return {line_, static_cast<std::uint32_t>(offset - line_start_ + 1)};
  }

 private:
  std::string_view text_;
  std::size_t cursor_ = 0;
  std::size_t line_start_ = 0;
  std::uint32_t line_ = 1;
};

// Receives the parser's events and builds the tree.
class TreeBuilder {
 public:
  TreeBuilder(std::string_view text, const std::size_t& taken) : text_(text), taken_(taken), lines_(text) {}

  bool null() { return scalar(Value::Kind::null, ""); }
  bool boolean(bool value) { return scalar(Value::Kind::boolean, value ? "true" : "false"); }
  bool number_integer(Json::number_integer_t) { return number(); }
  bool number_unsigned(Json::number_unsigned_t) { return number(); }
  bool number_float(Json::number_float_t, const std::string&) { return number(); }
  bool string(std::string& value) { return scalar(Value::Kind::string, std::move(value)); }
  bool binary(Json::binary_t&) { return false; }
  bool start_object(std::size_t) { return open(Value::Kind::object); }
  bool start_array(std::size_t) { return open(Value::Kind::array); }
  bool end_array() { return close(); }
  bool end_object() {
    report_duplicates();
    return close();
  }

  bool key(std::string& name) {
    Frame& top = frames_.back();
    top.key = std::move(name);
    top.key_at = lines_.at(token_start());
    if (top.key.find('\0') != std::string::npos) report(top.key_at, "a key may not contain U+0000");
    mark_ = taken_;
    before_ = Before::key;
    return true;
  }

  bool parse_error(std::size_t, const std::string&, const Json::exception& error) {
    constexpr int kNumberOverflow = 406;
    if (error.id == kNumberOverflow) {
      const std::size_t start = token_start();
      fail(start, "expected a number of at most 1e308, found " + std::string(number_at(start).substr(0, 64)));
    } else {
      fail_with_words();
    }
    return false;
  }

  void fail(std::size_t offset, std::string message) {
    findings_.assign(1, {lines_.at(offset), pointer(), std::move(message)});
    failed_ = true;
  }

  void fail_with_words() {
    SyntaxError error = explain_syntax_error(text_, mark_, before_);
    fail(error.offset, std::move(error.message));
  }

  Document finish() {
    // For nlohmann a NUL byte ends the text; here only the real end does.
    if (!failed_ && skip_space(text_, mark_) != text_.size()) fail_with_words();
    if (failed_) return {std::nullopt, std::move(findings_)};
    std::stable_sort(findings_.begin(), findings_.end(), [](const Finding& a, const Finding& b) {
      return std::tie(a.at.line, a.at.column) < std::tie(b.at.line, b.at.column);
    });
    return {std::move(root_), std::move(findings_)};
  }

 private:
  struct Frame {
    Value container;
    std::string key;  // object: the key whose value is being read
    Position key_at;
  };

  // Between the last token and this one there can only be white space, one comma or one colon.
  std::size_t token_start() const { return std::min(text_.find_first_not_of(" \t\r\n,:", mark_), text_.size()); }

  std::string_view number_at(std::size_t start) const {
    return text_.substr(start, number_length(text_.substr(start)));
  }

  std::string pointer() const {
    std::string out;
    for (const Frame& frame : frames_) {
      if (frame.container.kind == Value::Kind::array) {
        out = child_pointer(out, frame.container.items.size());
      } else if (frame.key_at.line != 0) {
        out = child_pointer(out, frame.key);
      }
    }
    return out;
  }

  void report(Position at, std::string message) { findings_.push_back({at, pointer(), std::move(message)}); }

  bool scalar(Value::Kind kind, std::string text) {
    Value value;
    value.kind = kind;
    value.at = lines_.at(token_start());
    if (text.find('\0') != std::string::npos) report(value.at, "a string may not contain U+0000");
    value.text = std::move(text);
    mark_ = taken_;
    add(std::move(value));
    return true;
  }

  // The parser has already read the byte after a number, so the end of the number is found in the text.
  bool number() {
    const std::size_t start = token_start();
    const std::string_view text = number_at(start);
    scalar(Value::Kind::number, std::string(text));
    mark_ = start + text.size();
    return true;
  }

  bool open(Value::Kind kind) {
    const std::size_t start = token_start();
    if (frames_.size() == kMaxDepth) {
      fail(start, "nested too deeply: a file may have at most 32 levels");
      return false;
    }
    Frame frame;
    frame.container.kind = kind;
    frame.container.at = lines_.at(start);
    frames_.push_back(std::move(frame));
    mark_ = taken_;
    before_ = kind == Value::Kind::object ? Before::object_open : Before::array_open;
    return true;
  }

  bool close() {
    Value value = std::move(frames_.back().container);
    frames_.pop_back();
    mark_ = taken_;
    add(std::move(value));
    return true;
  }

  void add(Value value) {
    if (frames_.empty()) {
      root_ = std::move(value);
      before_ = Before::everything;
      return;
    }
    Frame& top = frames_.back();
    if (top.container.kind == Value::Kind::array) {
      top.container.items.push_back(std::move(value));
      before_ = Before::array_item;
    } else {
      top.container.members.push_back({top.key, top.key_at, std::move(value)});
      before_ = Before::object_member;
    }
  }

  // Sorted, so that an object with many keys stays cheap.
  void report_duplicates() {
    Frame& top = frames_.back();
    std::vector<const Member*> sorted;
    for (const Member& member : top.container.members) sorted.push_back(&member);
    std::stable_sort(sorted.begin(), sorted.end(), [](const Member* a, const Member* b) { return a->key < b->key; });
    const Member* first = nullptr;
    for (const Member* member : sorted) {
      if (first == nullptr || first->key != member->key) {
        first = member;
        continue;
      }
      top.key = member->key;
      report(member->at, "duplicate key " + in_quotes(member->key) + "; first given at line " +
                             std::to_string(first->at.line) + ", column " + std::to_string(first->at.column));
    }
  }

  std::string_view text_;
  const std::size_t& taken_;  // bytes the parser has read, perhaps one more than it has used
  std::size_t mark_ = 0;      // after the last token
  Before before_ = Before::nothing;
  Lines lines_;
  std::vector<Frame> frames_;
  std::optional<Value> root_;
  std::vector<Finding> findings_;
  bool failed_ = false;
};

}  // namespace

Document read_json(std::string_view commented) {
  if (commented.starts_with("\xEF\xBB\xBF")) {
    return {std::nullopt, {{{1, 1}, "", "the file begins with a byte order mark; save it as UTF-8 without one"}}};
  }
  const WithoutComments stripped = without_comments(commented);
  if (stripped.unended) {
    return {std::nullopt,
            {{Lines(commented).at(*stripped.unended), "", "the comment does not end: no \"*/\" follows"}}};
  }
  const std::string_view text = stripped.text;
  std::size_t taken = 0;
  TreeBuilder builder(text, taken);
  Json::sax_parse(CountingIterator(text.data(), &taken), CountingIterator(text.data() + text.size(), &taken), &builder);
  return builder.finish();
}

}  // namespace bulkhead::config
