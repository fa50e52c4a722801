// The tree of values: positions, limits, and incomplete files.
#include <catch2/catch.hpp>
#include <chrono>
#include <string>

#include "master/config/json_reader.h"
#include "master/config/syntax_error.h"
#include "tests/unit/config/fake_host.h"
#include "tests/unit/config/samples.h"
#include "tests/unit/config/shapes.h"

namespace bulkhead::config {
namespace {

std::string place(const Position& at) {
  return std::to_string(at.line) + ":" + std::to_string(at.column);
}

TEST_CASE("every value and key knows its line and its column in bytes") {
  const Document document = read_json("{ \"a\" : -1.50e+3,\r\n\t\"ä\":[ true ,\n\"x\"],\"b\":{}}");
  REQUIRE(document.root);
  const Value& root = *document.root;
  REQUIRE(root.members.size() == 3);
  CHECK(place(root.at) == "1:1");
  CHECK(place(root.members[0].at) == "1:3");
  CHECK(place(root.members[0].value.at) == "1:9");
  CHECK(root.members[0].value.text == "-1.50e+3");
  CHECK(place(root.members[1].at) == "2:2");
  CHECK(place(root.members[1].value.at) == "2:7");
  CHECK(place(root.members[1].value.items.at(0).at) == "2:9");
  CHECK(place(root.members[1].value.items.at(1).at) == "3:1");
  CHECK(place(root.members[2].at) == "3:6");
  CHECK(place(root.members[2].value.at) == "3:10");
}

TEST_CASE("comments are blanks, and strings keep what looks like one") {
  const Document document = read_json("// all\r\n{ /* \"a\": 1, // */ \"b\": \"/* no */ // no \\\" /*\" // end");
  REQUIRE_FALSE(document.root);  // the object does not end: the comment took its brace
  const Document whole = read_json("// all\r\n{ /* \"a\": 1, // */ \"b\": \"/* no */ // no \\\" /*\" } // end");
  REQUIRE(whole.root);
  REQUIRE(whole.root->members.size() == 1);
  CHECK(whole.root->members[0].value.text == "/* no */ // no \" /*");
  CHECK(whole.root->members[0].at.line == 2);
  CHECK(whole.root->members[0].at.column == 20);
  CHECK(read_json("/**/{}/***/").root);
  CHECK_FALSE(read_json("/*/{}").root);
}

TEST_CASE("numbers keep their spelling") {
  for (const char* text :
       {"0", "-0", "1", "1.0", "1e3", "1E+3", "18446744073709551616", "-9223372036854775809", "0.1e-2"}) {
    INFO(text);
    const Document document = read_json("[" + std::string(text) + ", 2]");
    REQUIRE(document.root);
    CHECK(document.root->items.at(0).text == text);
    CHECK(document.root->items.at(1).text == "2");
  }
}

TEST_CASE("escapes are decoded, surrogate pairs too") {
  const Document document = read_json(R"(["\"\\\/\b\f\n\r\t\u00e4\ud83d\ude00"])");
  REQUIRE(document.root);
  CHECK(document.root->items.at(0).text == "\"\\/\b\f\n\r\tä😀");
}

TEST_CASE("the length of a number stops where JSON does") {
  const std::pair<const char*, std::size_t> rows[] = {{"", 0},     {"-", 0},     {"x", 0},  {"0", 1},   {"03", 1},
                                                      {"-0.5", 4}, {"1.", 1},    {"1e", 1}, {"1e+", 1}, {"1e+5,", 4},
                                                      {"12s", 2},  {"1.5.6", 3}, {"-x", 0}, {"9-1", 1}, {"1E5", 3}};
  for (const auto& [text, length] : rows) {
    INFO(text);
    CHECK(number_length(text) == length);
  }
}

TEST_CASE("32 levels are read, more are refused") {
  const auto nested = [](const std::string& open, std::size_t levels) {
    std::string text;
    for (std::size_t i = 0; i < levels; ++i) text += open;
    return text;
  };
  CHECK(read_json(nested("[", 32) + nested("]", 32)).root);
  for (const std::size_t levels : {33U, 1000U, 1000000U}) {
    for (const char* open : {"[", "{\"\":"}) {
      const Document document = read_json(nested(open, levels));
      CHECK_FALSE(document.root);
      REQUIRE(document.findings.size() == 1);
      CHECK(document.findings[0].message == "nested too deeply: a file may have at most 32 levels");
    }
  }
}

TEST_CASE("parse() refuses a million brackets quickly") {
  const auto start = std::chrono::steady_clock::now();
  const Loaded loaded = parse(std::string(1000000, '['), "deep.json", "/", FakeHost());
  CHECK(loaded.problems.size() == 1);
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::milliseconds(500));
}

TEST_CASE("an incomplete file is not accepted") {
  // Every kind of token, each cut at each of its bytes.
  constexpr std::string_view kTokens = R"({
	"supervisor": {"max_restarts": 3, "max_seconds": 1.5e1, "children": [
{"id": "e", "type": "listener", "listen": ["127.0.0.1:1", "[::1]:1"], "nodelay": true, "user": "root",
 "handler": {"exec": ["/bin/cat", "\u00e4\ud83d\ude00\\\"/", "ä"]}, "pass_env": [], "env": {}}]}})";
  REQUIRE(texts(parse(kTokens, "whole.json", "/etc", FakeHost())).empty());
  for (std::size_t length = 0; length < kTokens.size(); ++length) {
    const Loaded loaded = parse(kTokens.substr(0, length), "cut.json", "/etc", FakeHost());
    INFO(length);
    REQUIRE_FALSE(loaded.config);
    REQUIRE(loaded.problems.size() == 1);
    REQUIRE(loaded.problems[0].line != 0);
  }
}

TEST_CASE("a file of more than 1 MiB is refused, one of 1 MiB is read") {
  std::string text(kSmallest);
  text.append((1U << 20U) - text.size(), ' ');
  CHECK(parse(text, "big.json", "/", FakeHost()).config);
  const Loaded loaded = parse(text + " ", "big.json", "/", FakeHost());
  CHECK(texts(loaded) == "big.json: larger than 1 MiB, the most that a configuration file may have");
  CHECK(parse(text + " ", "big.json", "/", patient_host()).config);  // what is in effect may be larger than a file
}

TEST_CASE("an object of many keys, all unknown and some twice, is read quickly") {
  std::string text = "{";
  for (int i = 0; i < 2000; ++i) text += "\"k" + std::to_string(i % 1900) + "\":0,\n";
  text.back() = ' ';
  text[text.size() - 2] = '}';
  const Loaded loaded = parse(text, "many.json", "/", FakeHost());
  CHECK(loaded.problems.size() == 1 + 2000 + 100);
}

TEST_CASE("messages stay one line and name control characters") {
  Problem problem{"a\nb", 1, 2, "/x\ty", "m"};
  CHECK(problem.text() == R"(a\nb:1:2: /x\ty: m)");
  problem.line = 0;
  CHECK(problem.text() == R"(a\nb: m)");
}

}  // namespace
}  // namespace bulkhead::config
