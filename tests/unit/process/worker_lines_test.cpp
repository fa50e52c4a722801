#include "master/process/worker_lines.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

using namespace bulkhead;
using process::is_worker_line;
using process::WorkerLines;

namespace {

const std::string kText = "2026-11-22T15:07:37.123Z bulkhead-worker[812] info root/echo: connection 1 ended";
const std::string kJson =
    R"({"time":"2026-11-22T15:07:37.123Z","level":"info","program":"bulkhead-worker","program_pid":812,"path":"root"})";

// One worker's socket, and a pipe that stands in for the log.
struct Fixture {
  Fixture() {
    int ends[2];
    REQUIRE(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
    log_read.reset(ends[0]);
    log_write.reset(ends[1]);
    log::configure({log_write.get(), log::Format::text, log::Level::info, "test"});
    auto end = lines.open();
    REQUIRE(end);
    worker = std::move(*end);
  }
  ~Fixture() { log::configure({}); }
  Fixture(const Fixture&) = delete;
  Fixture& operator=(const Fixture&) = delete;

  void say(const std::string& words) const {
    REQUIRE(send(worker.get(), words.data(), words.size(), MSG_DONTWAIT) == static_cast<ssize_t>(words.size()));
  }
  std::string logged() const {
    std::string out;
    char buffer[65536];
    for (ssize_t got; (got = ::read(log_read.get(), buffer, sizeof buffer)) > 0;)
      out.append(buffer, static_cast<std::size_t>(got));
    return out;
  }
  loop::Loop loop;
  sys::Fd log_read;
  sys::Fd log_write;
  sys::Fd worker;
  WorkerLines lines{loop, "root/echo/1"};
};

}  // namespace

TEST_CASE("A worker's line is told by its beginning, in either format") {
  CHECK(is_worker_line(kText));
  CHECK(is_worker_line(kJson));
  CHECK_FALSE(is_worker_line(""));
  CHECK_FALSE(is_worker_line("free(): invalid pointer"));
  CHECK_FALSE(is_worker_line("2026-11-22T15:07:37.123Z bulkheadd[1] info root: stopped"));
  CHECK_FALSE(is_worker_line(kJson.substr(0, kJson.size() - 1)));
  std::string other = kJson;
  other.replace(other.find("bulkhead-worker"), 15, "bulkheadd");
  CHECK_FALSE(is_worker_line(other));
}

TEST_CASE("Lines of a worker reach the log as they are, whatever the pieces they come in") {
  Fixture fixture;
  const std::string both = kText + "\n" + kJson + "\n";
  for (const char c : both) fixture.say({&c, 1});
  fixture.lines.read_rest();
  CHECK(fixture.logged() == both);
}

TEST_CASE(
    "What is no worker's line is logged as text below the worker's path, and no byte of it speaks to a terminal") {
  Fixture fixture;
  fixture.say("2026-11-22T15:07:37.123Z bulkheadd[1] error root: \x1b[2J forged\n");
  fixture.say(kText + "\x1b[2J\n");
  fixture.lines.read_rest();
  const std::string text = fixture.logged();
  CHECK(text.find(" warning root/echo/1: 2026-11-22T15:07:37.123Z bulkheadd[1] error root: \\x1b[2J forged") !=
        std::string::npos);
  CHECK(text.find(kText + "?[2J\n") != std::string::npos);
  CHECK(text.find('\x1b') == std::string::npos);
}

TEST_CASE("Of a worker's line whole characters are kept, and not those that mislead") {
  Fixture fixture;
  fixture.say(kText + " gr\u00fc\u00df\n" + kText + " \u202e \xc3\n");
  fixture.lines.read_rest();
  CHECK(fixture.logged() == kText + " gr\u00fc\u00df\n" + kText + " ??? ?\n");
}

TEST_CASE("The lines go to the log of the listener, if it has one") {
  Fixture fixture;
  std::string path = (std::filesystem::temp_directory_path() / "bulkhead-lines-XXXXXX").string();
  const sys::Fd file(mkostemp(path.data(), O_CLOEXEC));
  auto log = std::make_shared<process::NodeLog>();
  REQUIRE_FALSE(log->use({}, {path, {}, {}, {}}));
  std::filesystem::remove(path);
  process::WorkerLines lines(fixture.loop, "root/own/1", log);
  auto end = lines.open();
  REQUIRE(end);
  REQUIRE(send(end->get(), (kText + "\n").data(), kText.size() + 1, 0) > 0);
  lines.read_rest();
  CHECK(fixture.logged().empty());
  std::string text(kText.size() + 1, '\0');
  REQUIRE(pread(file.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
  CHECK(text == kText + "\n");
}

TEST_CASE("A worker that writes without end costs a bounded part of the log") {
  Fixture fixture;
  std::size_t sent = 0;
  const std::string junk = "junk\n";
  while (send(fixture.worker.get(), junk.data(), junk.size(), MSG_DONTWAIT) > 0) ++sent;
  REQUIRE(sent > 150);
  fixture.lines.read_rest();
  const std::string text = fixture.logged();
  CHECK(std::ranges::count(text, '\n') == 100);
}

TEST_CASE("The end of a worker ends its lines, and a last one without a newline is logged") {
  Fixture fixture;
  fixture.say(kText);
  fixture.lines.read_rest();
  CHECK(fixture.logged().empty());
  fixture.worker.reset();
  fixture.lines.read_rest();
  CHECK(fixture.lines.at_end());
  CHECK(fixture.logged() == kText + "\n");
}

TEST_CASE("Another program continues with the same line") {
  Fixture fixture;
  fixture.say(kText.substr(0, 40));
  fixture.lines.read_rest();
  process::LinesHandover from = fixture.lines.hand_over();
  from.fd = dup(from.fd);
  WorkerLines other(fixture.loop, from.path);
  other.resume(from);
  fixture.say(kText.substr(40) + "\n");
  other.read_rest();
  CHECK(fixture.logged() == kText + "\n");
}
