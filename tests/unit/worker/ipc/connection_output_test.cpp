#include "worker/ipc/connection_output.h"

#include <catch2/catch.hpp>
#include <string>
#include <utility>
#include <vector>

#include "worker/log/log.h"

using namespace bulkhead;
using ipc::ConnectionOutput;
using ipc::Origin;

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
using Lines = std::vector<std::pair<std::uint64_t, std::string>>;

Origin connection(std::uint64_t id) {
  return {static_cast<pid_t>(1000 + id), id, {}};
}

// Hears every line; the log itself is muted.
class Output : public ConnectionOutput {
 public:
  explicit Output(std::uint32_t rate = 100) : ConnectionOutput("root/test", rate) {
    log::configure({-1, log::Format::text, log::Level::error, "test"});
    watch([this](const Origin& origin, std::string_view line) { lines.emplace_back(origin.id, std::string(line)); });
  }
  ~Output() { log::configure({}); }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;
  Lines lines;
};

bool nobody(const Origin&) {
  return false;
}
bool everybody(const Origin&) {
  return true;
}

}  // namespace

TEST_CASE("lines of several connections are assembled separately") {
  Output output;
  output.take(connection(1), 1001, "one, fir", 0);
  output.take(connection(2), 1002, "two\nand ", 0);
  output.take(connection(1), 1099, "st\n", 0);
  output.take(connection(2), 1002, "more\n", 0);
  CHECK(output.lines == Lines{{2, "two"}, {1, "one, first"}, {2, "and more"}});
}

TEST_CASE("a process without a connection is a source of its own") {
  Output output;
  output.take({}, 7, "a", 0);
  output.take({}, 8, "b", 0);
  output.take({}, 7, "c\n", 0);
  output.take({}, 8, "d\n", 0);
  CHECK(output.lines == Lines{{0, "ac"}, {0, "bd"}});
}

TEST_CASE("at the end of a connection its last line is logged and it is forgotten") {
  Output output;
  output.take(connection(1), 1001, "no newline", 0);
  output.take(connection(2), 1002, "nor here", 0);
  output.end(1);
  CHECK(output.lines == Lines{{1, "no newline"}});
  CHECK(output.sources() == 1);
  output.tick(0, nobody);
  CHECK(output.lines.size() == 2);
  CHECK(output.sources() == 0);
}

TEST_CASE("silent connections are forgotten after a second, but not an incomplete line") {
  Output output;
  output.take(connection(1), 1001, "all said\n", 0);
  output.take(connection(2), 1002, "not all", 0);
  output.tick(kSecond / 2, everybody);
  CHECK(output.sources() == 2);
  output.tick(2 * kSecond, everybody);
  CHECK(output.sources() == 1);
  output.take(connection(2), 1002, " said\n", 3 * kSecond);
  CHECK(output.lines.back().second == "not all said");
}

TEST_CASE("however many connections write, a fixed number is remembered and no line is lost") {
  Output output;
  const std::size_t count = 3 * ConnectionOutput::kMaxSources;
  for (std::size_t id = 1; id <= count; ++id) {
    output.take(connection(id), 1, "x", static_cast<std::int64_t>(id));
    CHECK(output.sources() <= ConnectionOutput::kMaxSources);
  }
  output.end_all();
  CHECK(output.lines.size() == count);
  CHECK(output.lines.front().first == 1);
  CHECK(output.sources() == 0);
}
