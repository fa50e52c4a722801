// The log lines that a client gets: the answer, what follows it, and the report of missed ones.
#include "master/control/log_feed.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <string>
#include <vector>

namespace bulkhead::control {
namespace {

using Json = nlohmann::ordered_json;
using Words = std::vector<std::string>;

Json answer_of(LogFeed& feed) {
  std::string out;
  while (feed.answer(out)) REQUIRE(out.size() < 10'000'000);
  return Json::parse(out);
}

Words lines_of(const Json& answer) {
  Words out;
  for (const Json& one : answer["lines"]) {
    out.push_back(one.contains("missed") ? "missed " + one["missed"].dump() : one["line"].get<std::string>());
  }
  return out;
}

Words notified(LogFeed& feed) {
  std::string out;
  while (feed.notify(out)) {
  }
  Words lines;
  while (!out.empty()) {
    const std::size_t end = out.find('\n');
    const Json one = Json::parse(out.substr(0, end));
    CHECK(one["method"] == "log");
    const Json& params = one["params"];
    lines.push_back(params.contains("missed") ? "missed " + params["missed"].dump()
                                              : params["line"].get<std::string>());
    out.erase(0, end + 1);
  }
  return lines;
}

TEST_CASE("the answer has the lines of now, and the others follow") {
  journal::Memory memory;
  memory.keep("root/a", "one");
  memory.keep("root/a/1", "two");
  memory.keep("root/b", "not this");
  LogFeed feed(memory, "root/a", {}, {{"path", "root/a"}, {"notes", {"a note"}}});
  memory.keep("root/a", "three");
  const Json answer = answer_of(feed);
  CHECK(answer["path"] == "root/a");
  CHECK(answer["notes"] == Json::array({"a note"}));
  CHECK(lines_of(answer) == Words{"one", "two"});
  CHECK(answer["lines"][1] == Json::parse(R"({"seq":2,"path":"root/a/1","line":"two"})"));
  CHECK(notified(feed) == Words{"three"});
  CHECK(notified(feed).empty());
  memory.keep("root/a", "four");
  CHECK(notified(feed) == Words{"four"});
}

TEST_CASE("no lines, or the last so many of them") {
  journal::Memory memory;
  LogFeed nothing(memory, "root/a", {}, {{"path", "root/a"}});
  CHECK(answer_of(nothing) == Json::parse(R"({"path":"root/a","lines":[]})"));
  for (const char* line : {"one", "two", "three"}) memory.keep("root/a", line);
  LogFeed two(memory, "root/a", 2, {{"path", "root/a"}});
  CHECK(lines_of(answer_of(two)) == Words{"two", "three"});
}

TEST_CASE("a client that reads more slowly than lines come learns how many it has missed") {
  journal::Memory memory({.subject = 10 * (journal::Memory::kHead + 4)});
  LogFeed feed(memory, "root", {}, {{"path", "root"}});
  CHECK(lines_of(answer_of(feed)).empty());
  for (int i = 1000; i < 1100; ++i) memory.keep("root/a", std::to_string(i));
  const Words got = notified(feed);
  REQUIRE(got.size() == 11);
  CHECK(got.front() == "missed 90");
  CHECK(got.back() == "1099");
}

TEST_CASE("a long answer comes in pieces, and what is cut meanwhile is counted in it") {
  journal::Memory memory({.subject = 1U << 20U});
  for (int i = 0; i < 2000; ++i) memory.keep("root/a", std::string(100, 'x'));
  LogFeed feed(memory, "root", {}, {{"path", "root"}});
  std::string out;
  REQUIRE(feed.answer(out));
  CHECK(out.size() < 40'000);
  for (int i = 0; i < 9000; ++i) memory.keep("root/a", std::string(100, 'y'));
  while (feed.answer(out)) {
  }
  const Words lines = lines_of(Json::parse(out));
  CHECK(std::ranges::any_of(lines, [](const std::string& line) { return line.starts_with("missed "); }) ==
        (lines.size() < 2000));
  CHECK(lines.size() < 2000);
}

TEST_CASE("bytes that are no UTF-8 do not spoil the answer") {
  journal::Memory memory;
  memory.keep("root/a", "\xff\xfe");
  LogFeed feed(memory, "root", {}, {{"path", "root"}});
  CHECK(answer_of(feed)["lines"].size() == 1);
}

}  // namespace
}  // namespace bulkhead::control
