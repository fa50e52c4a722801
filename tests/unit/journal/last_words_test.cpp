// Which of the kept lines are a child's own words.
#include "master/journal/last_words.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "master/journal/start_failure.h"

namespace bulkhead::journal {
namespace {

using Words = std::vector<std::string>;

TEST_CASE("what a child wrote is told from what the daemon says about it") {
  struct Row {
    std::string_view line;
    std::optional<std::string> words;
  };
  const Row rows[] = {
      {"2026-11-22T15:07:37.123Z bulkheadd[8] info root/db: no such file: /x stream=stderr", "no such file: /x"},
      {"2026-11-22T15:07:37.123Z bulkheadd[8] info root/db:  a=1 stream=stdout continued=true", " a=1"},
      {"2026-11-22T15:07:37.123Z bulkheadd[8] warning root/db: exited with status 3 pid=9", std::nullopt},
      {"2026-11-22T15:07:37.123Z bulkhead-worker[8] error root/web: cannot load x.so", "cannot load x.so"},
      {R"({"time":"2026-11-22T15:07:37.123Z","level":"info","program":"bulkheadd","program_pid":8,"path":"root/db",)"
       R"("message":"say \"x\"","stream":"stderr"})",
       "say \"x\""},
      {R"({"time":"2026-11-22T15:07:37.123Z","level":"info","program":"bulkheadd","program_pid":8,"path":"root/db",)"
       R"("message":"ready","pid":9})",
       std::nullopt},
      {"", std::nullopt},
      {"2026-11-22T15:07:37.123Z", std::nullopt}};
  for (const Row& row : rows) {
    CAPTURE(row.line);
    CHECK(own_words("root/db", row.line) == row.words);
  }
}

std::string line(int second, std::string_view words) {
  return "2026-11-22T15:07:0" + std::to_string(second) + ".000Z bulkheadd[8] info root/db: " + std::string(words) +
         " stream=stderr";
}

TEST_CASE("the last words are few, short and of this life") {
  Memory memory;
  memory.keep("root/db", line(1, "of an earlier life"));
  CHECK(last_words(memory, "root/db", "2026-11-22T15:07:02.000Z").empty());
  memory.keep("root/db", line(2, "begin"));
  CHECK(last_words(memory, "root/db", "2026-11-22T15:07:02.000Z") == Words{"begin"});
  for (int i = 3; i < 8; ++i) memory.keep("root/db", line(i, std::to_string(i)));
  CHECK(last_words(memory, "root/db", "2026-11-22T15:07:02.000Z") == Words{"3", "4", "5", "6", "7"});
  memory.keep("root/db", line(9, std::string(2000, 'x')));
  CHECK(last_words(memory, "root/db", "2026-11-22T15:07:09.000Z") == Words{std::string(kLongestWord, 'x') + "..."});
}

TEST_CASE("the reason of a failed start has the last lines behind it") {
  CHECK(StartFailure{"root/db (pid 9): exited with status 3", {}}.text() == "root/db (pid 9): exited with status 3");
  CHECK(StartFailure{"it", {"a"}}.text() == "it; its last line: \"a\"");
  CHECK(StartFailure{"it", {"a", "b"}}.text() == "it; its last lines: \"a\", \"b\"");
}

}  // namespace
}  // namespace bulkhead::journal
