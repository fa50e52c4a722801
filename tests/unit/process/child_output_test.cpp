#include "master/process/child_output.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "master/process/output_remains.h"

using namespace bulkhead;
using process::ChildOutput;
using process::OutputRemains;

namespace {

using namespace std::chrono_literals;

// A process's streams, and a pipe that stands in for the log, which is read only when the test does.
struct Fixture {
  explicit Fixture(log::OutputBudget::Limits limits = {.lines = ~0U})
      : output(std::in_place, loop, "root/app", limits) {
    int ends[2];
    REQUIRE(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
    log_read.reset(ends[0]);
    log_write.reset(ends[1]);
    log::configure({log_write.get(), log::Format::text, log::Level::info, "test"});
    auto child = output->open({});
    REQUIRE(child);
    out = std::move(child->out);
    error = std::move(child->error);
    (void)fcntl(out.get(), F_SETFL, O_NONBLOCK);
  }
  ~Fixture() { log::configure({}); }
  Fixture(const Fixture&) = delete;
  Fixture& operator=(const Fixture&) = delete;

  // Returns how much of it the pipe has taken.
  std::size_t say(std::string_view words) const {
    const ssize_t written = ::write(out.get(), words.data(), words.size());
    return written < 0 ? 0 : static_cast<std::size_t>(written);
  }
  std::string logged() const {
    std::string text;
    char buffer[65536];
    for (ssize_t got; (got = ::read(log_read.get(), buffer, sizeof buffer)) > 0;)
      text.append(buffer, static_cast<std::size_t>(got));
    return text;
  }
  void turn() { (void)uv_run(loop.raw(), UV_RUN_NOWAIT); }
  // Turns until the log contains this.
  std::string logged_until(std::string_view words) {
    std::string text;
    for (int i = 0; i < 5000 && text.find(words) == std::string::npos; ++i) {
      (void)::poll(nullptr, 0, 1);
      turn();
      text += logged();
    }
    return text;
  }

  loop::Loop loop;
  sys::Fd log_read;
  sys::Fd log_write;
  std::optional<ChildOutput> output;
  sys::Fd out;
  sys::Fd error;
};

std::size_t count(std::string_view text, std::string_view what) {
  std::size_t found = 0;
  for (std::size_t at = text.find(what); at != std::string_view::npos; at = text.find(what, at + 1)) ++found;
  return found;
}

std::string line_of(std::size_t size) {
  std::string line(size + 1, 'x');
  line.back() = '\n';
  return line;
}

}  // namespace

TEST_CASE("while the log is full a process waits, and nothing is lost or out of order") {
  Fixture fixture;
  constexpr int kLines = 20'000;
  int said = 0;
  int heard = 0;
  std::string text;
  std::string rest;
  bool was_held_up = false;
  const std::uint64_t dropped = log::dropped();
  while (heard < kLines) {
    for (; said < kLines; ++said) {
      if (rest.empty()) rest = "line " + std::to_string(said) + "\n";
      rest.erase(0, fixture.say(rest));
      if (!rest.empty()) break;
    }
    for (int i = 0; i < 5; ++i) fixture.turn();
    was_held_up = was_held_up || fixture.output->is_held_up();
    text += fixture.logged();
    for (std::size_t end; (end = text.find('\n')) != std::string::npos; text.erase(0, end + 1)) {
      const std::string expected = "root/app: line " + std::to_string(heard++) + " stream=stdout";
      REQUIRE(text.substr(0, end).ends_with(expected));
    }
  }
  CHECK(was_held_up);
  CHECK(log::dropped() == dropped);
}

TEST_CASE("a full log costs bounded memory and little time, and has room for the daemon's own lines") {
  Fixture fixture;
  std::size_t taken = 0;
  for (int i = 0; i < 1000; ++i) {
    taken += fixture.say(line_of(4096));
    fixture.turn();
  }
  CHECK(fixture.output->is_held_up());
  CHECK(taken < 256 * 1024);
  const auto before = log::dropped();
  for (int i = 0; i < 20; ++i) log::Line(log::Level::info, "root").text("a child crashed").write();
  CHECK(log::dropped() == before);
  CHECK(count(fixture.logged(), "a child crashed") == 20);
}

TEST_CASE("a long line is continued, in as many lines as its escapes need") {
  Fixture fixture;
  std::string binary;
  for (int i = 0; i < 5000; ++i) binary += static_cast<char>(128 + i % 128);
  REQUIRE(fixture.say(line_of(5000) + binary + "\nshort\n") == 10'008);
  const std::string text = fixture.logged_until("short stream=stdout\n");
  CHECK(count(text, "x") >= 5000);
  CHECK(count(text, "\\x8") + count(text, "\\x9") + count(text, "\\xa") + count(text, "\\xb") + count(text, "\\xc") +
            count(text, "\\xd") + count(text, "\\xe") + count(text, "\\xf") ==
        5000);
  CHECK(count(text, "...") == 0);
  CHECK(count(text, " continued=true\n") == count(text, "\n") - 3);
  CHECK(text.find("short stream=stdout\n") != std::string::npos);
}

TEST_CASE("with log_rate_limit, lines beyond it are counted, and the process does not wait") {
  Fixture fixture({.lines = 3});
  REQUIRE(fixture.say("1\n2\n3\n4\n5\n") == 10);
  fixture.turn();
  fixture.output->close();
  const std::string text = fixture.logged();
  CHECK(count(text, "stream=stdout") == 3);
  CHECK(text.find("2 lines were not logged") != std::string::npos);
}

TEST_CASE("output that the log has no room for survives its process and an upgrade, and is dropped only if closed") {
  Fixture fixture;
  while (!fixture.output->is_held_up()) {
    (void)fixture.say("a line\n");
    fixture.turn();
  }
  (void)fixture.say("the last line");
  const auto state = fixture.output->hand_over();
  ChildOutput second(fixture.loop, "root/app", {.lines = ~0U});
  auto copy = state;
  copy.out.fd = fcntl(state.out.fd, F_DUPFD_CLOEXEC, 3);
  copy.error.fd = fcntl(state.error.fd, F_DUPFD_CLOEXEC, 3);
  fixture.output.reset();
  second.resume(copy);
  fixture.out.reset();
  fixture.error.reset();
  const auto before = log::dropped();
  std::string text;
  while (!second.at_end()) {
    fixture.turn();
    text += fixture.logged();
  }
  text += fixture.logged();
  CHECK(log::dropped() == before);
  CHECK(text.find("the last line stream=stdout\n") != std::string::npos);
}

TEST_CASE("a stream with a file of its own is written as it is, also after a rotation") {
  Fixture fixture;
  const std::string path = "/tmp/child_output_test." + std::to_string(getpid());
  const auto text_of = [](const std::string& name) {
    std::ifstream file(name);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  ChildOutput output(fixture.loop, "root/app", {.lines = ~0U});
  auto ends = output.open({true, true, path, ""});
  REQUIRE(ends);
  const std::string bytes("one\n\0\xff half", 11);
  REQUIRE(::write(ends->out.get(), bytes.data(), bytes.size()) == 11);
  fixture.turn();
  CHECK(text_of(path) == bytes);
  REQUIRE(rename(path.c_str(), (path + ".1").c_str()) == 0);
  CHECK(output.reopen().empty());
  REQUIRE(::write(ends->out.get(), " line\n", 6) == 6);
  REQUIRE(::write(ends->error.get(), "to the log\n", 11) == 11);
  fixture.turn();
  CHECK(text_of(path) == " line\n");
  CHECK(text_of(path + ".1") == bytes);
  CHECK(count(fixture.logged(), "to the log stream=stderr") == 1);
  REQUIRE(unlink(path.c_str()) == 0);
  REQUIRE(mkdir(path.c_str(), 0700) == 0);
  REQUIRE(output.reopen().size() == 1);
  REQUIRE(::write(ends->out.get(), "!", 1) == 1);
  fixture.turn();
  REQUIRE(rmdir(path.c_str()) == 0);
  REQUIRE(unlink((path + ".1").c_str()) == 0);
}

TEST_CASE("what is given up while the log is full is counted") {
  Fixture fixture;
  std::size_t said = 0;
  while (!fixture.output->is_held_up()) {
    said += fixture.say("a line\n") / 7;
    fixture.turn();
  }
  for (int i = 0; i < 10; ++i) said += fixture.say("a line\n") / 7;
  const auto before = log::dropped();
  fixture.output->close();
  CHECK(log::dropped() > before);
  CHECK(count(fixture.logged(), "a line") + log::dropped() - before == said);
}

TEST_CASE("of a process that crashes again and again while the log is full, the last four outputs are kept") {
  Fixture fixture;
  while (!fixture.output->is_held_up()) {
    (void)fixture.say("a line\n");
    fixture.turn();
  }
  OutputRemains remains;
  const auto now = supervision::Instant(1s);
  const auto before = log::dropped();
  for (int run = 0; run < 6; ++run) {
    auto output = std::make_unique<ChildOutput>(fixture.loop, "root/app", log::OutputBudget::Limits{.lines = ~0U});
    auto ends = output->open({true, false, "", ""});
    REQUIRE(ends);
    const std::string words = "run " + std::to_string(run) + "\n";
    REQUIRE(::write(ends->out.get(), words.data(), words.size()) == static_cast<ssize_t>(words.size()));
    ends->out.reset();
    output->read_rest();
    remains.add("root/app", now, now, std::move(output));
  }
  CHECK(log::dropped() - before == 2);
  std::string text = fixture.logged();
  for (int i = 1; i < 100 && count(text, "run ") < 4; ++i) {
    remains.on_deadline(now + i * 1s);
    text += fixture.logged();
  }
  CHECK(count(text, "run 2") + count(text, "run 3") + count(text, "run 4") + count(text, "run 5") == 4);
}
