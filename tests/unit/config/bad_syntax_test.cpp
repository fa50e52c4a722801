// Files that are no JSON. The position and the words are part of what users rely on, so each row holds the whole text.
#include <catch2/catch.hpp>
#include <string>
#include <string_view>

#include "tests/unit/config/fake_host.h"
#include "tests/unit/config/shapes.h"

namespace bulkhead::config {
namespace {

struct BadFile {
  const char* name;
  Shape shape;
  std::string_view fragment;  // on line 2 of the file, but for Shape::whole
  const char* problems;       // all of them, one a line
  std::uint32_t uid = 0;      // who reads it
};

// clang-format off
constexpr BadFile kBadFiles[] = {
    {"an empty file", Shape::whole, R"()",
     R"(bad.json:1:1: /: expected a JSON value, found the end of the file)"},
    {"only white space", Shape::whole, " \n\t\n",
     R"(bad.json:3:1: /: expected a JSON value, found the end of the file)"},
    {"a byte order mark", Shape::whole, std::string_view("\357\273\277{}", 5),
     R"(bad.json:1:1: /: the file begins with a byte order mark; save it as UTF-8 without one)"},
    {"half a byte order mark", Shape::whole, std::string_view("\357\273{}", 4),
     R"(bad.json:1:1: /: expected a JSON value, found byte 0xef)"},
    {"UTF-16", Shape::whole, std::string_view("\377\376{\000}\000", 6),
     R"(bad.json:1:1: /: expected a JSON value, found byte 0xff)"},
    {"a NUL byte behind the value", Shape::whole, std::string_view("{}\000", 3),
     R"(bad.json:1:3: /: expected the end of the file, found a NUL byte; a file holds one JSON value)"},
    {"a NUL byte instead of a value", Shape::whole, std::string_view("{\"supervisor\":\000}", 16),
     R"(bad.json:1:15: /supervisor: expected a value after ":", found a NUL byte)"},
    {"a second document", Shape::whole, "{\"supervisor\":{}}\n{\"supervisor\":{}}",
     R"(bad.json:2:1: /: expected the end of the file, found "{"; a file holds one JSON value)"},
    {"garbage behind the value", Shape::whole, R"({"supervisor":{}} x)",
     R"(bad.json:1:19: /: expected the end of the file, found x; a file holds one JSON value)"},
    {"a closing brace too many", Shape::whole, R"({"supervisor":{}}})",
     R"(bad.json:1:18: /: expected the end of the file, found "}"; a file holds one JSON value)"},
    {"a closing brace missing", Shape::whole, R"({"supervisor":{)",
     R"(bad.json:1:16: /supervisor: expected a key in double quotes or "}", found the end of the file)"},
    {"a file that ends after a key", Shape::whole, R"({"supervisor")",
     R"(bad.json:1:14: /supervisor: expected ":" after the key, found the end of the file)"},
    {"a file that ends after a colon", Shape::whole, R"({"supervisor":)",
     R"(bad.json:1:15: /supervisor: expected a value after ":", found the end of the file)"},
    {"a file that ends inside a string", Shape::whole, R"({"super)",
     R"(bad.json:1:2: /: the string is not closed: the file ends before its closing quote)"},
    {"a file that ends inside a list", Shape::whole, R"({"supervisor":{"children":[)",
     R"(bad.json:1:28: /supervisor/children/0: expected a value or "]", found the end of the file)"},
    {"a line comment", Shape::whole, "{\n// the root\n\"supervisor\":{}}",
     R"(bad.json:2:1: /: expected a key in double quotes or "}", found "/"; JSON has no comments)"},
    {"a block comment", Shape::whole, R"({"supervisor": /* the root */ {}})",
     R"(bad.json:1:16: /supervisor: expected a value after ":", found "/"; JSON has no comments)"},
    {"a shell comment", Shape::whole, "# bulkhead\n{}",
     R"(bad.json:1:1: /: expected a JSON value, found "#"; JSON has no comments)"},
    {"a trailing comma in an object", Shape::whole, R"({"supervisor":{},})",
     R"(bad.json:1:18: /supervisor: expected a key in double quotes after ",", found "}"; no comma may follow the last entry)"},
    {"a trailing comma in a list", Shape::whole, R"({"supervisor":{"children":[1,]}})",
     R"(bad.json:1:30: /supervisor/children/1: expected a value after ",", found "]"; no comma may follow the last entry)"},
    {"two commas", Shape::whole, R"({"supervisor":{},,"log":{}})",
     R"(bad.json:1:18: /supervisor: expected a key in double quotes after ",", found ",")"},
    {"a comma first", Shape::whole, R"({,"supervisor":{}})",
     R"(bad.json:1:2: /: expected a key in double quotes or "}", found ",")"},
    {"a comma missing in an object", Shape::whole, R"({"supervisor":{"max_restarts":3 "max_seconds":5}})",
     R"(bad.json:1:33: /supervisor/max_restarts: expected "," or "}", found a string)"},
    {"a comma missing in a list", Shape::whole, R"({"supervisor":{"children":[{} {}]}})",
     R"(bad.json:1:31: /supervisor/children/1: expected "," or "]", found "{")"},
    {"a colon missing", Shape::whole, R"({"supervisor" {}})",
     R"(bad.json:1:15: /supervisor: expected ":" after the key, found "{")"},
    {"an equals sign for a colon", Shape::whole, R"({"supervisor" = {}})",
     R"(bad.json:1:15: /supervisor: expected ":" after the key, found "=")"},
    {"a key without quotes", Shape::whole, R"({supervisor:{}})",
     R"(bad.json:1:2: /: expected a key in double quotes or "}", found supervisor; words stand in double quotes)"},
    {"a key in single quotes", Shape::whole, R"({'supervisor':{}})",
     R"(bad.json:1:2: /: expected a key in double quotes or "}", found "'"; strings stand in double quotes)"},
    {"a number for a key", Shape::whole, R"({1:{}})",
     R"(bad.json:1:2: /: expected a key in double quotes or "}", found 1)"},
    {"a string in single quotes", Shape::whole, R"({"log":{"level":'info'}})",
     R"(bad.json:1:17: /log/level: expected a value after ":", found "'"; strings stand in double quotes)"},
    {"a word without quotes", Shape::whole, R"({"log":{"level":info}})",
     R"(bad.json:1:17: /log/level: expected a value after ":", found info; words stand in double quotes)"},
    {"True with a capital", Shape::whole, R"({"log":True})",
     R"(bad.json:1:8: /log: expected a value after ":", found True; write true)"},
    {"NaN", Shape::whole, R"({"supervisor":{"max_restarts":NaN}})",
     R"(bad.json:1:31: /supervisor/max_restarts: expected a value after ":", found NaN; words stand in double quotes)"},
    {"Infinity", Shape::whole, R"({"supervisor":{"max_restarts":-Infinity}})",
     R"(bad.json:1:31: /supervisor/max_restarts: expected a value after ":", found -Infinity; this is not a number of JSON)"},
    {"a leading zero", Shape::whole, R"({"supervisor":{"max_restarts":03}})",
     R"(bad.json:1:31: /supervisor/max_restarts: expected a value, found 03; a number does not begin with 0)"},
    {"a negative leading zero", Shape::whole, R"({"supervisor":{"max_restarts":-01}})",
     R"(bad.json:1:31: /supervisor/max_restarts: expected a value, found -01; a number does not begin with 0)"},
    {"a leading plus", Shape::whole, R"({"supervisor":{"max_restarts":+3}})",
     R"(bad.json:1:31: /supervisor/max_restarts: expected a value after ":", found +3; this is not a number of JSON)"},
    {"a hexadecimal number", Shape::whole, R"({"supervisor":{"max_restarts":0x3}})",
     R"(bad.json:1:31: /supervisor/max_restarts: expected a value, found 0x3; this is not a number of JSON)"},
    {"a number that begins with its point", Shape::whole, R"({"supervisor":{"max_seconds":.5}})",
     R"(bad.json:1:30: /supervisor/max_seconds: expected a value after ":", found .5; this is not a number of JSON)"},
    {"a number that ends with its point", Shape::whole, R"({"supervisor":{"max_seconds":5.}})",
     R"(bad.json:1:30: /supervisor/max_seconds: expected a value after ":", found 5.; this is not a number of JSON)"},
    {"an exponent without digits", Shape::whole, R"({"supervisor":{"max_seconds":5e}})",
     R"(bad.json:1:30: /supervisor/max_seconds: expected a value after ":", found 5e; this is not a number of JSON)"},
    {"a number with a unit", Shape::whole, R"({"supervisor":{"max_seconds":5s}})",
     R"(bad.json:1:30: /supervisor/max_seconds: expected a value, found 5s; this is not a number of JSON)"},
    {"a minus alone", Shape::whole, R"({"supervisor":{"max_seconds":-}})",
     R"(bad.json:1:30: /supervisor/max_seconds: expected a value after ":", found -; this is not a number of JSON)"},
    {"a number beyond all numbers", Shape::whole, R"({"supervisor":{"max_restarts":1e400}})",
     R"(bad.json:1:31: /supervisor/max_restarts: expected a number of at most 1e308, found 1e400)"},
    {"a line break in a string", Shape::whole, "{\"log\":{\"level\":\"in\nfo\"}}",
     R"(bad.json:1:17: /log/level: the string is not closed on its line)"},
    {"a tab in a string", Shape::whole, "{\"log\":{\"level\":\"in\tfo\"}}",
     R"(bad.json:1:20: /log/level: a string may hold this control character only as \u0009)"},
    {"an unknown escape", Shape::whole, R"({"log":{"level":"in\fo\q"}})",
     R"(bad.json:1:23: /log/level: not an escape of JSON; it has \" \\ \/ \b \f \n \r \t and \uXXXX, surrogates in pairs)"},
    {"an escape that is too short", Shape::whole, R"({"log":{"level":"\u12"}})",
     R"(bad.json:1:18: /log/level: not an escape of JSON; it has \" \\ \/ \b \f \n \r \t and \uXXXX, surrogates in pairs)"},
    {"a high surrogate alone", Shape::whole, R"({"log":{"level":"\ud800x"}})",
     R"(bad.json:1:18: /log/level: not an escape of JSON; it has \" \\ \/ \b \f \n \r \t and \uXXXX, surrogates in pairs)"},
    {"a low surrogate alone", Shape::whole, R"({"log":{"level":"\udc00"}})",
     R"(bad.json:1:18: /log/level: not an escape of JSON; it has \" \\ \/ \b \f \n \r \t and \uXXXX, surrogates in pairs)"},
    {"two high surrogates", Shape::whole, R"({"log":{"level":"\ud800\ud800"}})",
     R"(bad.json:1:18: /log/level: not an escape of JSON; it has \" \\ \/ \b \f \n \r \t and \uXXXX, surrogates in pairs)"},
    {"Latin-1 in a string", Shape::whole, std::string_view("{\"log\":{\"target\":\"/var/log/b\374lk\"}}", 34),
     R"(bad.json:1:29: /log/target: invalid UTF-8: byte 0xfc)"},
    {"an overlong NUL", Shape::whole, std::string_view("{\"log\":{\"target\":\"/var/log/b\300\200\"}}", 33),
     R"(bad.json:1:29: /log/target: invalid UTF-8: byte 0xc0)"},
    {"a UTF-8 surrogate", Shape::whole, std::string_view("{\"log\":{\"target\":\"/\355\240\200\"}}", 25),
     R"(bad.json:1:20: /log/target: invalid UTF-8: byte 0xed)"},
    {"beyond Unicode", Shape::whole, std::string_view("{\"log\":{\"target\":\"/\364\220\200\200\"}}", 26),
     R"(bad.json:1:20: /log/target: invalid UTF-8: byte 0xf4)"},
    {"a UTF-8 character cut short", Shape::whole, std::string_view("{\"log\":{\"target\":\"/\342\202\"}}", 24),
     R"(bad.json:1:20: /log/target: invalid UTF-8: byte 0xe2)"},
    {"invalid UTF-8 in a key", Shape::whole, std::string_view("{\"l\377\":1}", 8),
     R"(bad.json:1:4: /: invalid UTF-8: byte 0xff)"},
    {"a character of UTF-8 outside strings", Shape::whole, std::string_view("{\"log\":\342\200\234x\342\200\235}", 15),
     R"(bad.json:1:8: /log: expected a value after ":", found byte 0xe2)"},
    {"33 levels", Shape::whole, R"([[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[)",
     R"(bad.json:1:33: /0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0: nested too deeply: a file may have at most 32 levels)"},
};
// clang-format on

TEST_CASE("a file that is no JSON has one problem, at its place and in plain words") {
  for (const BadFile& bad : kBadFiles) {
    INFO(bad.name << ": " << bad.fragment);
    const FakeHost host(bad.uid);
    const Loaded loaded = parse(file_of(bad.shape, bad.fragment), "bad.json", "/etc", host);
    CHECK(texts(loaded) == bad.problems);
    CHECK_FALSE(loaded.config);
    CHECK(loaded.effective.empty());
  }
}

}  // namespace
}  // namespace bulkhead::config
