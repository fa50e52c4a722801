#include "worker/log/output_lines.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

namespace bulkhead::log::testing {

namespace {

using Lines = std::vector<std::string>;

class Reader {
 public:
  explicit Reader(std::size_t limit) : splitter_(limit) {}
  void feed(std::string_view bytes) { splitter_.feed(bytes, add()); }
  Lines finish() {
    splitter_.finish(add());
    return lines_;
  }

 private:
  LineSplitter::OnLine add() {
    return [this](std::string_view line, bool cut) { lines_.push_back(std::string(line) + (cut ? "…" : "")); };
  }
  LineSplitter splitter_;
  Lines lines_;
};

Lines split(const std::vector<std::string_view>& pieces, std::size_t limit = LineSplitter::kLimit) {
  Reader reader(limit);
  for (const std::string_view piece : pieces) reader.feed(piece);
  return reader.finish();
}

}  // namespace

TEST_CASE("output becomes lines, a last one without newline included") {
  CHECK(split({""}).empty());
  CHECK(split({"a\n"}) == Lines{"a"});
  CHECK(split({"a"}) == Lines{"a"});
  CHECK(split({"a\nb"}) == Lines{"a", "b"});
  CHECK(split({"\n\na\n"}) == Lines{"", "", "a"});
  CHECK(split({"a\r\n"}) == Lines{"a\r"});
  CHECK(split({std::string_view("a\0b\n\xff", 5)}) == Lines{std::string("a\0b", 3), "\xff"});
}

TEST_CASE("a line of exactly the limit is whole, a longer one is cut and its rest dropped") {
  CHECK(split({"1234\n"}, 4) == Lines{"1234"});
  CHECK(split({"1234"}, 4) == Lines{"1234"});
  CHECK(split({"12345\n"}, 4) == Lines{"1234…"});
  CHECK(split({"12345"}, 4) == Lines{"1234…"});
  CHECK(split({"123456789\nab\n"}, 4) == Lines{"1234…", "ab"});
  CHECK(split({"123456789", "123\n", "ab"}, 4) == Lines{"1234…", "ab"});
}

TEST_CASE("a line that never ends is reported at once, and only once") {
  Reader reader(4);
  for (int i = 0; i < 1000; ++i) reader.feed("xxxxxxxx");
  CHECK(reader.finish() == Lines{"xxxx…"});
}

TEST_CASE("the lines do not depend on where the bytes were cut") {
  const std::string text = "one\n\ntwelve bytes\nabcdefgh\nabcdefghi\n\nlast, and long";
  const Lines whole = split({text}, 8);
  REQUIRE(whole == Lines{"one", "", "twelve b…", "abcdefgh", "abcdefgh…", "", "last, an…"});
  for (std::size_t i = 0; i <= text.size(); ++i) {
    for (std::size_t k = i; k <= text.size(); ++k) {
      const std::string_view view = text;
      CAPTURE(i, k);
      CHECK(split({view.substr(0, i), view.substr(i, k - i), view.substr(k)}, 8) == whole);
    }
  }
  Reader bytewise(8);
  for (const char& c : text) bytewise.feed({&c, 1});
  CHECK(bytewise.finish() == whole);
}

TEST_CASE("where the rest of a long line is continued, nothing is lost, and no character is torn") {
  const auto pieces = [](std::string_view text, std::size_t step) {
    LineSplitter splitter(8, LineSplitter::Rest::continued);
    Lines out;
    const auto add = [&](const LineSplitter::Piece& piece) {
      out.push_back((piece.continued ? "+" : "") + std::string(piece.text));
      CHECK_FALSE(piece.cut);
    };
    for (std::size_t at = 0; at < text.size(); at += step) {
      std::string_view bytes = text.substr(at, step);
      while (const auto piece = splitter.next(bytes)) add(*piece);
      CHECK(bytes.empty());
    }
    if (const auto piece = splitter.last()) add(*piece);
    return out;
  };
  for (std::size_t step = 1; step < 30; ++step) {
    CAPTURE(step);
    CHECK(pieces("12345678\n123456789\nx\n", step) == Lines{"12345678", "12345678", "+9", "x"});
    CHECK(pieces("1234567\u00e4\u00e4\n\n123456\U0001f600", step) ==
          Lines{"1234567", "+\u00e4\u00e4", "", "123456", "+\U0001f600"});
    CHECK(pieces("\xff\xff\xff\xff\xff\xff\xff\xff\xff\n", step) == Lines{"\xff\xff\xff\xff\xff\xff\xff", "+\xff\xff"});
    CHECK(pieces("1234567812345678", step) == Lines{"12345678", "+12345678"});
  }
}

TEST_CASE("each second has a limit of lines, the excess is counted") {
  OutputBudget budget({.lines = 3, .bytes = 100});
  for (int second = 0; second < 3; ++second) {
    for (int i = 0; i < 3; ++i) CHECK(budget.take_line());
    for (int i = 0; i < 5; ++i) CHECK_FALSE(budget.take_line());
    CHECK(budget.renew() == 5);
  }
  CHECK(budget.take_line());
  CHECK(budget.renew() == 0);
}

TEST_CASE("each second has a limit of bytes") {
  OutputBudget budget({.lines = 3, .bytes = 100});
  budget.take_bytes(99);
  CHECK(budget.bytes_left());
  budget.take_bytes(1);
  CHECK_FALSE(budget.bytes_left());
  budget.take_bytes(1000);  // a turn's overshoot is forgiven
  CHECK(budget.renew() == 0);
  CHECK(budget.bytes_left());
}

}  // namespace bulkhead::log::testing
