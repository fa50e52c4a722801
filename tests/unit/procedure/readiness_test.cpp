// When the daemon announces that it is ready.
#include "master/procedure/readiness.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/unit/procedure/asked.h"
#include "tests/unit/rig/rig.h"
#include "worker/log/log.h"

namespace bulkhead::procedure {
namespace {

using namespace rig;

// Captures the log while it lives; otherwise tests log nothing.
class LogText {
 public:
  LogText() : file_(memfd_create("log", MFD_CLOEXEC)) { log::set_fd(file_.get()); }
  ~LogText() { log::set_fd(nowhere()); }
  LogText(const LogText&) = delete;
  LogText& operator=(const LogText&) = delete;

  [[nodiscard]] std::size_t count(const std::string& text) const {
    std::string all(static_cast<std::size_t>(lseek(file_.get(), 0, SEEK_END)), '\0');
    if (pread(file_.get(), all.data(), all.size(), 0) < 0) return 0;
    std::size_t out = 0;
    for (auto at = all.find(text); at != std::string::npos; at = all.find(text, at + 1)) ++out;
    return out;
  }

 private:
  static int nowhere() {
    static const sys::Fd fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
    return fd.get();
  }
  sys::Fd file_;
};

TEST_CASE("a listener serves once all its workers are ready, and is announced then") {
  Rig rig(file_with(listener_entry("echo")));
  const LogText log;
  rig.system.conduct("root/echo/2", Conduct::is_silent);
  rig.start();
  CHECK(log.count("Serving requests") == 0);
  rig.system.at("root/echo/2").say(ipc::Ready{});
  rig.settle();
  CHECK(log.count("Serving requests") == 1);
}

TEST_CASE("a listener is announced once, however often its workers come and go") {
  Rig rig(file_with(listener_entry("echo")));
  const LogText log;
  rig.start();
  rig.end("root/echo/1");
  rig.end("root/echo/2");
  CHECK(rig.system.started("root/echo/1") == 2);
  CHECK(log.count("Serving requests") == 1);
}

TEST_CASE("a listener that is started again is announced again") {
  Rig rig(file_with(listener_entry("echo")));
  const LogText log;
  rig.start();
  Asked restart;
  rig.operations.restart("root/echo", restart.done());
  rig.settle();
  CHECK(restart.is_done());
  CHECK(log.count("Serving requests") == 2);
}

TEST_CASE("a listener is announced while the rest of the tree is still starting") {
  Rig rig(file_with(listener_entry("echo") + "," + process_entry("db", R"("ready":"notify_fd")")));
  const LogText log;
  rig.system.conduct("root/db", Conduct::is_silent);
  rig.start();
  CHECK(log.count("Serving requests") == 1);
  CHECK_FALSE(rig.readiness.is_ready());
  CHECK(rig.times_ready == 0);
}

TEST_CASE("the daemon is ready when the root has started everything") {
  Rig rig(file_with(process_entry("db", R"("ready":"notify_fd")")));
  rig.system.conduct("root/db", Conduct::is_silent);
  rig.start();
  CHECK(rig.times_ready == 0);
  REQUIRE(::write(rig.system.at("root/db").notify.get(), "\n", 1) == 1);
  rig.settle();
  CHECK(rig.readiness.is_ready());
  CHECK(rig.times_ready == 1);
}

TEST_CASE("the daemon becomes ready once, whatever restarts afterwards") {
  Rig rig(file_with(process_entry("db") + "," + listener_entry("echo")));
  rig.start();
  rig.end("root/db");
  rig.end("root/echo/1");
  rig.readiness.look();
  CHECK(rig.times_ready == 1);
}

TEST_CASE("a daemon that continues another program's work has been announced already") {
  Rig rig(file_with(process_entry("db")));
  rig.readiness.resume();
  rig.start();
  CHECK(rig.readiness.is_ready());
  CHECK(rig.times_ready == 0);
}

TEST_CASE("the reader of the ready descriptor gets one line with every endpoint, then end of file") {
  Rig rig(file_with(listener_entry("echo", R"("listen":["unix:@a","unix:@b"])")));
  std::array<int, 2> ends{};
  REQUIRE(pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) == 0);
  const sys::Fd reading(ends[0]);
  int ready = 0;
  Readiness readiness(rig.engine, rig.listeners, rig.narrator, ends[1], [&ready] { ++ready; });
  readiness.look();
  std::array<char, 4096> buffer{};
  CHECK(read(reading.get(), buffer.data(), buffer.size()) < 0);  // neither a line nor the end
  rig.start();
  readiness.look();
  readiness.look();
  CHECK(ready == 1);
  const auto size = read(reading.get(), buffer.data(), buffer.size());
  REQUIRE(size > 0);
  const std::string line(buffer.data(), static_cast<std::size_t>(size));
  CHECK(line.find('\n') == line.size() - 1);
  const auto json = nlohmann::json::parse(line);
  CHECK(json["pid"] == getpid());
  REQUIRE(json["endpoints"].size() == 2);
  CHECK(json["endpoints"][0]["path"] == "root/echo");
  CHECK(json["endpoints"][1]["listen"] != json["endpoints"][0]["listen"]);
  CHECK(read(reading.get(), buffer.data(), buffer.size()) == 0);
}

}  // namespace
}  // namespace bulkhead::procedure
