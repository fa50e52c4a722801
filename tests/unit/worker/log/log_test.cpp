#include "worker/log/log.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <regex>
#include <string>

using namespace bulkhead;

namespace {

// A nonblocking pipe that stands in for the log.
class LogPipe {
 public:
  explicit LogPipe(log::Format format) {
    REQUIRE(pipe2(ends_, O_CLOEXEC | O_NONBLOCK) == 0);
    log::configure({ends_[1], format, log::Level::info, "test"});
  }
  ~LogPipe() {
    log::configure({});
    close(ends_[0]);
    close(ends_[1]);
  }
  LogPipe(const LogPipe&) = delete;
  LogPipe& operator=(const LogPipe&) = delete;

  std::string read_all() const {
    std::string out;
    char buffer[65536];
    for (ssize_t got; (got = ::read(ends_[0], buffer, sizeof buffer)) > 0;)
      out.append(buffer, static_cast<std::size_t>(got));
    return out;
  }
  int writer() const { return ends_[1]; }

 private:
  int ends_[2];
};

}  // namespace

TEST_CASE("a text line has time, program, pid, level, path, message and fields") {
  const LogPipe pipe(log::Format::text);
  log::Line(log::Level::info, "root/echo")
      .text("hello ")
      .number(-7)
      .field("pid", 812)
      .field("peer", "a b")
      .field_seconds("age_seconds", 1'234'567'890)
      .field("core", true)
      .write();
  const std::regex form(
      R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z test\[\d+\] info root/echo: hello -7 pid=812 peer="a b" age_seconds=1\.234 core=true\n)");
  const std::string line = pipe.read_all();
  INFO(line);
  CHECK(std::regex_match(line, form));
}

TEST_CASE("a JSON line has the same, as one object") {
  const LogPipe pipe(log::Format::json);
  log::Line(log::Level::warning, "root").text("a \"quoted\" \\ word").field("n", 1).field("s", "x").write();
  const std::string line = pipe.read_all();
  INFO(line);
  CHECK(std::regex_match(
      line,
      std::regex(
          R"x(\{"time":"[^"]+Z","level":"warning","program":"test","program_pid":\d+,"path":"root","message":"a \\"quoted\\" \\\\\\\\ word","n":1,"s":"x"\}\n)x")));
}

TEST_CASE("lines below the level are not written") {
  const LogPipe pipe(log::Format::text);
  log::Line(log::Level::debug, "root").text("quiet").write();
  CHECK(pipe.read_all().empty());
}

TEST_CASE("bytes that could forge a line or control a terminal are escaped") {
  for (const log::Format format : {log::Format::text, log::Format::json}) {
    const LogPipe pipe(format);
    log::Line(log::Level::info, "root").text("a\nb\x1b[2J\xff").field("f", "x\r\ny").write();
    const std::string line = pipe.read_all();
    INFO(line);
    CHECK(std::count(line.begin(), line.end(), '\n') == 1);
    CHECK(line.find('\x1b') == std::string::npos);
    CHECK(line.find("x1b[2J") != std::string::npos);
    CHECK(line.find("xff") != std::string::npos);
  }
}

TEST_CASE("valid UTF-8 is itself, and escaped text cannot be mistaken for other text") {
  const LogPipe pipe(log::Format::text);
  const auto logged = [&pipe](std::string_view text) {
    log::Line(log::Level::info, "root").text(text).write();
    const std::string line = pipe.read_all();
    return line.substr(line.find("root: ") + 6, line.size() - line.find("root: ") - 7);
  };
  CHECK(logged("Gr\u00fc\u00dfe, \u65e5\u672c \U0001f600") == "Gr\u00fc\u00dfe, \u65e5\u672c \U0001f600");
  CHECK(logged(R"(C:\x1b)") == R"(C:\\x1b)");
  struct Row {
    std::string_view bytes;
    std::string_view shown;
  };
  constexpr Row kRows[] = {{"\u202e", R"(\xe2\x80\xae)"},                // right-to-left override
                           {"\u2066", R"(\xe2\x81\xa6)"},                // isolate
                           {"\u2028", R"(\xe2\x80\xa8)"},                // line separator
                           {"\xc2\x9b", R"(\xc2\x9b)"},                  // C1: CSI
                           {"\xc0\xaf", R"(\xc0\xaf)"},                  // overlong
                           {"\xed\xa0\x80", R"(\xed\xa0\x80)"},          // surrogate
                           {"\xf4\x90\x80\x80", R"(\xf4\x90\x80\x80)"},  // beyond U+10FFFF
                           {"\xe6\x97", R"(\xe6\x97)"},                  // cut
                           {"\xe6\x97x", R"(\xe6\x97x)"},
                           {"\x7f", R"(\x7f)"}};
  for (const Row& row : kRows) CHECK(logged(row.bytes) == row.shown);
}

TEST_CASE("a long message is cut, and the fields after it are still there") {
  const LogPipe pipe(log::Format::json);
  log::Line(log::Level::info, "root").text(std::string(10'000, 'm')).field("pid", 1).write();
  const std::string line = pipe.read_all();
  CHECK(line.size() <= 4096);
  CHECK(line.ends_with("mmm...\",\"pid\":1}\n"));
}

TEST_CASE("a field that does not fit is left out whole") {
  const LogPipe pipe(log::Format::json);
  log::Line(log::Level::info, "root").text("m").field("big", std::string(10'000, 'v')).field("pid", 1).write();
  const std::string line = pipe.read_all();
  INFO(line);
  CHECK(line.ends_with("\"message\":\"m\",\"pid\":1}\n"));
}

TEST_CASE("a full log drops lines, counts them and says so when there is room again") {
  const LogPipe pipe(log::Format::text);
  const std::uint64_t before = log::dropped();
  const std::string filling(3000, 'x');
  while (log::dropped() == before) log::Line(log::Level::info, "root").text(filling).write();
  log::Line(log::Level::info, "root").text(filling).write();
  std::string lines = pipe.read_all();
  log::Line(log::Level::info, "root").text("after").write();
  lines += pipe.read_all();
  CHECK(lines.find("root: after\n") != std::string::npos);
  std::uint64_t told = 0;
  const std::regex report("dropped ([0-9]+) lines?");
  for (std::sregex_iterator at(lines.begin(), lines.end(), report), end; at != end; ++at) told += std::stoull((*at)[1]);
  CHECK(log::dropped() - before == 2);
  CHECK(told == 2);
}

TEST_CASE("a rate limit admits one line a second and counts the others") {
  log::RateLimit limit;
  CHECK(limit.allow(1'000'000'000));
  CHECK_FALSE(limit.allow(1'999'999'999));
  CHECK_FALSE(limit.allow(1'999'999'999));
  CHECK(limit.allow(2'000'000'000));
  CHECK(limit.take_suppressed() == 2);
  CHECK(limit.take_suppressed() == 0);
}

TEST_CASE("lines for the journal have a priority in place of time, program and level") {
  const LogPipe pipe(log::Format::text);
  log::configure({.fd = pipe.writer(), .level = log::Level::debug, .program = "test", .priorities = true});
  for (const auto level : {log::Level::debug, log::Level::info, log::Level::warning, log::Level::error})
    log::Line(level, "root/echo").text("hello world").field("pid", 812).write();
  CHECK(pipe.read_all() ==
        "<7>root/echo: hello world pid=812\n<6>root/echo: hello world pid=812\n"
        "<4>root/echo: hello world pid=812\n<3>root/echo: hello world pid=812\n");
}

TEST_CASE("so have lines of workers and of processes; what is no line of ours stays whole") {
  const LogPipe pipe(log::Format::text);
  log::configure({.fd = pipe.writer(), .program = "test", .priorities = true});
  const std::string lines = "T w[1] error root/a: x\nT w[1] loud root/a: x\n\n<0>x\nT w[1] warning root/a: y\n";
  log::own().pass_on(lines, 5);
  const std::string expected = "<3>root/a: x\nT w[1] loud root/a: x\n\n<0>x\n<4>root/a: y\n";
  CHECK(pipe.read_all() == expected);
  CHECK(log::own().offer(lines) == lines.size());
  CHECK(pipe.read_all() == expected);
}

TEST_CASE("JSON lines have no priority in front") {
  const LogPipe pipe(log::Format::json);
  log::configure({.fd = pipe.writer(), .format = log::Format::json, .program = "test", .priorities = true});
  log::Line(log::Level::info, "root").text("hello").write();
  CHECK(pipe.read_all().starts_with("{\"time\":"));
}
