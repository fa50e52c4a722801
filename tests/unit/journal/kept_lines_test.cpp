// The lines of nodes are kept as lines of a stream, whatever the log is.
#include "master/journal/kept_lines.h"

#include <fcntl.h>

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "worker/sys/fd.h"

namespace bulkhead::journal {
namespace {

class Fixture {
 public:
  explicit Fixture(log::Format format = log::Format::text, log::Transport transport = log::Transport::stream) {
    log::configure({.fd = null_.get(), .format = format, .program = "test", .transport = transport});
  }
  ~Fixture() { log::configure({}); }
  Fixture(const Fixture&) = delete;
  Fixture& operator=(const Fixture&) = delete;

  // What is kept for the path, without the time and the pid.
  std::string kept(const std::string& path) {
    Memory::Reader reader(memory_, path);
    const auto record = reader.next();
    if (!record) return "";
    std::string line(record->text);
    REQUIRE(line.size() > 24);
    const auto pid = line.find('[');
    const auto end = line.find(']');
    if (pid != std::string::npos && end != std::string::npos) line.erase(pid, end - pid + 1);
    return line.starts_with('{') ? line.substr(line.find("\"path\"")) : line.substr(25);
  }
  Memory memory_;

 private:
  sys::Fd null_{open("/dev/null", O_WRONLY | O_CLOEXEC)};
  KeptLines keeps_{memory_};
};

void write_line(std::string_view path, log::Level level = log::Level::info) {
  log::Line(level, path).text("a \n\"b\" c").field("empty", "").field("words", "x y").field("pid", 812).write();
}

TEST_CASE("a line is kept as it is logged") {
  Fixture f;
  write_line("root/a");
  CHECK(f.kept("root/a") == R"(test info root/a: a \x0a"b" c empty="" words="x y" pid=812)");
}

TEST_CASE("in JSON, too") {
  Fixture f(log::Format::json);
  write_line("root/a");
  CHECK(f.kept("root/a") == R"("path":"root/a","message":"a \\x0a\"b\" c","empty":"","words":"x y","pid":812})");
}

TEST_CASE("what goes to a log daemon is kept with its time and level") {
  for (const auto transport : {log::Transport::syslog, log::Transport::journald}) {
    Fixture f(log::Format::text, transport);
    write_line("root/a");
    CHECK(f.kept("root/a") == R"(test info root/a: a \x0a"b" c empty="" words="x y" pid=812)");
  }
  Fixture f(log::Format::json, log::Transport::syslog);
  write_line("root/a");
  CHECK(f.kept("root/a").starts_with(R"("path":"root/a","message":"a \\x0a)"));
}

TEST_CASE("only lines of nodes, and only those that are logged") {
  Fixture f;
  write_line("control");
  write_line("rooted");
  write_line("root/a", log::Level::debug);
  CHECK(f.memory_.last_seq() == 0);
  write_line("root");
  CHECK(f.memory_.last_seq() == 1);
}

TEST_CASE("the log is full, and the line is kept") {
  int ends[2];
  REQUIRE(pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0);
  const sys::Fd read(ends[0]);
  const sys::Fd write(ends[1]);
  Fixture f;
  log::configure({.fd = write.get(), .program = "test"});
  for (int i = 0; i < 2000; ++i) write_line("root/a");
  CHECK(log::dropped() != 0);
  CHECK(f.memory_.last_seq() >= 2000);
}

}  // namespace
}  // namespace bulkhead::journal
