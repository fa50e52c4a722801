// The log of one listener or process: what it takes from the daemon's, and what it keeps when it cannot be opened.
#include "master/process/node_log.h"

#include <stdlib.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <utility>

namespace bulkhead::process {
namespace {

class NodeLogFixture {
 public:
  NodeLogFixture() {
    REQUIRE(mkdtemp(directory_.data()) != nullptr);
    REQUIRE(pipe(ends_) == 0);
    log::configure({.fd = ends_[1], .program = "test"});
  }
  ~NodeLogFixture() {
    log::configure({});
    close(ends_[0]);
    close(ends_[1]);
    std::filesystem::remove_all(directory_);
  }
  NodeLogFixture(const NodeLogFixture&) = delete;
  NodeLogFixture& operator=(const NodeLogFixture&) = delete;

  [[nodiscard]] std::string path(const char* name) const { return directory_ + "/" + name; }
  [[nodiscard]] std::string text(const char* name) const {
    std::ifstream file(path(name));
    return {std::istreambuf_iterator<char>(file), {}};
  }
  [[nodiscard]] std::string daemons() const {
    char buffer[4096];
    const auto got = ::read(ends_[0], buffer, sizeof buffer);
    return {buffer, got > 0 ? static_cast<std::size_t>(got) : 0};
  }
  config::Log daemon;

 private:
  std::string directory_ = (std::filesystem::temp_directory_path() / "bulkhead-node-log-XXXXXX").string();
  int ends_[2] = {};
};

config::OwnLog own_log(std::optional<std::string> target, std::optional<config::LogFormat> format = {},
                       std::optional<config::LogLevel> level = {}) {
  return {std::move(target), format, level, {}};
}

void write_line(NodeLog& log, std::string_view words, log::Level level = log::Level::info) {
  log::Line(level, {"root/a", log.sink()}).text(words).write();
}

TEST_CASE("without a log of its own it is the daemon's") {
  NodeLogFixture f;
  NodeLog log;
  REQUIRE_FALSE(log.use(f.daemon, {}));
  CHECK(&log.sink() == &log::own());
  CHECK(log.handlers() == -1);
}

TEST_CASE("a target of its own gets the lines, in the daemon's form") {
  NodeLogFixture f;
  f.daemon.format = config::LogFormat::json;
  NodeLog log;
  REQUIRE_FALSE(log.use(f.daemon, own_log(f.path("own"))));
  write_line(log, "hello");
  CHECK(f.text("own").find(R"("message":"hello")") != std::string::npos);
  CHECK(log.handlers() >= 0);
  REQUIRE_FALSE(log.use(f.daemon, own_log(f.path("own"), config::LogFormat::text)));
  write_line(log, "again");
  CHECK(f.text("own").find("info root/a: again\n") != std::string::npos);
}

TEST_CASE("without a target of its own the lines go to the daemon's, in its own form") {
  NodeLogFixture f;
  NodeLog log;
  REQUIRE_FALSE(log.use(f.daemon, own_log({}, config::LogFormat::json, config::LogLevel::warning)));
  CHECK(&log.sink() != &log::own());
  write_line(log, "quiet");
  write_line(log, "loud", log::Level::warning);
  const std::string text = f.daemons();
  CHECK(text.starts_with("{\"time\""));
  CHECK(text.find("loud") != std::string::npos);
  CHECK(text.find("quiet") == std::string::npos);
}

TEST_CASE("opened once more it writes to the new file, and where that fails to the old one") {
  NodeLogFixture f;
  NodeLog log;
  const config::OwnLog own = own_log(f.path("own"));
  REQUIRE_FALSE(log.use(f.daemon, own));
  std::filesystem::rename(f.path("own"), f.path("old"));
  write_line(log, "first");
  REQUIRE_FALSE(log.use(f.daemon, own));
  write_line(log, "second");
  CHECK(f.text("old").find("first") != std::string::npos);
  CHECK(f.text("own").find("second") != std::string::npos);
  const auto error = log.use(f.daemon, own_log(f.path("no/such")));
  REQUIRE(error);
  CHECK(error->code == ENOENT);
  CHECK(log.own() == own);
  write_line(log, "third");
  CHECK(f.text("own").find("third") != std::string::npos);
}

TEST_CASE("two logs lose and count their lines by themselves") {
  NodeLogFixture f;
  NodeLog log;
  REQUIRE_FALSE(log.use(f.daemon, own_log("/dev/full")));
  const auto before = log::own().dropped();
  write_line(log, "lost");
  CHECK(log.sink().dropped() == 1);
  CHECK(log::own().dropped() == before);
}

}  // namespace
}  // namespace bulkhead::process
