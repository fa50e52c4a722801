// Reloads that are refused in the middle of their trial, with scripted children.
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tests/unit/rig/rig.h"

namespace bulkhead::reload {
namespace {

using namespace rig;
using Words = std::vector<std::string>;

const std::string kOld =
    file_with(listener_entry("echo", R"("workers":1)") + "," + process_entry("db", R"("ready":"notify_fd")"));
const std::string kNew =
    file_with(process_entry("cache") + "," + listener_entry("echo", R"("workers":1,"handler":"discard")") + "," +
              R"({"id":"db","type":"process","argv":["/bin/false"],"ready":"notify_fd"})");

struct Fixture {
  Rig rig{kOld};
  std::optional<Reload::Result> result;
  std::string effective;

  Fixture() {
    rig.start();
    effective = rig.catalogue.effective();
    (void)rig.system.take_deeds();
  }
  void reload(const std::string& text) {
    rig.file.write(text);
    rig.reload.begin([this](const Reload::Result& got) { result = got; });
    rig.settle();
  }
  // The process of the new configuration does not start, the old one does.
  void reload_in_vain() {
    rig.system.conduct("root/db", Conduct::is_silent);
    reload(kNew);
    rig.system.conduct("root/db", Conduct::serves);
    rig.end("root/db");
  }
};

TEST_CASE("a process that does not start is restored, then the rest is undone, the latest first") {
  Fixture f;
  f.reload_in_vain();
  CHECK(f.rig.system.deeds() == Words{"start root/cache", "start root/echo/2", "SIGTERM root/db", "reap root/db",
                                      "start root/db", "reap root/db", "start root/db", "retire root/echo/2",
                                      "reap root/echo/2", "SIGTERM root/cache", "reap root/cache"});
}

TEST_CASE("a reload that was undone reports why") {
  Fixture f;
  f.reload_in_vain();
  REQUIRE(f.result);
  CHECK(f.result->problems == Words{"root/db did not start with the new configuration"});
  CHECK(f.rig.count("reload_rejected") == 1);
  CHECK(f.rig.count("reload_done") == 0);
  CHECK(f.rig.reload.last()["ok"] == false);
}

TEST_CASE("after a reload that was undone the old configuration is in effect, and its generation") {
  Fixture f;
  f.reload_in_vain();
  CHECK(f.rig.catalogue.effective() == f.effective);
  CHECK(f.rig.catalogue.generation() == 1);
  CHECK(f.rig.system.at("root/db").request.argv.front() == "/bin/true");
  CHECK_FALSE(f.rig.engine.has("root/cache"));
  CHECK_FALSE(f.rig.engine.has("root/echo/2"));
}

TEST_CASE("after a reload that was undone the old workers serve, and new ones have their generation") {
  Fixture f;
  f.reload_in_vain();
  CHECK(f.rig.is_running("root/echo/1"));
  CHECK(f.rig.system.started("root/echo/1") == 1);
  CHECK(f.rig.listener_at("root/echo").gate().accepting());
  f.rig.end("root/echo/1");
  CHECK(f.rig.children.view(f.rig.run_of("root/echo/1"))->generation == 1);
}

TEST_CASE("during the trial of a reload the new workers do not accept") {
  Fixture f;
  f.rig.system.conduct("root/db", Conduct::is_silent);
  f.reload(kNew);
  CHECK(f.rig.listener_at("root/echo").gate().is_held_by(net::Gate::Holder::trial));
  CHECK(f.rig.catalogue.generation() == 2);
  CHECK(f.rig.catalogue.effective() == f.effective);
  CHECK_FALSE(f.result);
}

TEST_CASE("a process that starts with neither configuration gives two problems, the new one's first") {
  Fixture f;
  f.rig.system.conduct("root/db", Conduct::is_silent);
  f.reload(kNew);
  f.rig.end("root/db");
  f.rig.end("root/db");
  REQUIRE(f.result);
  CHECK(f.result->problems == Words{"root/db did not start with the new configuration",
                                    "root/db did not start again with the previous configuration, and is stopped"});
}

TEST_CASE("a listener whose new workers do not become ready keeps its old ones and its addresses") {
  Fixture f;
  const int socket = f.rig.listener_at("root/echo").sockets().front().fd.get();
  f.rig.system.conduct("root/echo/2", Conduct::dies);
  f.reload(file_with(listener_entry("echo", R"("workers":1,"listen":["unix:@echo","unix:@more"])") + "," +
                     process_entry("db", R"("ready":"notify_fd")")));
  REQUIRE(f.result);
  CHECK(f.result->problems == Words{"root/echo/2: a new worker did not become ready"});
  const net::Listener& echo = f.rig.listener_at("root/echo");
  REQUIRE(echo.sockets().size() == 1);
  CHECK(echo.sockets().front().fd.get() == socket);
  CHECK(echo.gate().accepting());
  CHECK(f.rig.system.started("root/echo/1") == 1);
  CHECK(f.rig.is_running("root/echo/1"));
  CHECK(f.rig.catalogue.generation() == 1);
}

TEST_CASE("when an added child does not start, the others are left alone") {
  Fixture f;
  f.rig.system.conduct("root/cache", Conduct::no_fork);
  f.reload(kNew);
  REQUIRE(f.result);
  CHECK(f.result->problems == Words{"root/cache did not start: start_failed"});
  CHECK(f.rig.system.deeds() == Words{"start root/cache"});
  CHECK_FALSE(f.rig.engine.has("root/cache"));
}

TEST_CASE("a socket that was lent to an added listener has its own options again") {
  const auto mute = [](const char* program) {
    return std::string(R"({"id":"db","type":"process","ready":"notify_fd","argv":[")") + program + R"("]})";
  };
  Fixture f;
  const auto file = [&mute](const char* id, const char* rcvbuf, const char* program) {
    return file_with(listener_entry(id, std::string(R"("listen":"127.0.0.1:0","workers":1,"rcvbuf":)") + rcvbuf) + "," +
                     mute(program));
  };
  f.reload(file("old", "\"64K\"", "/bin/true"));
  REQUIRE(f.rig.is_running("root/old"));
  const auto buffer = [&f] {
    int size = 0;
    socklen_t length = sizeof size;
    getsockopt(f.rig.listener_at("root/old").sockets().front().fd.get(), SOL_SOCKET, SO_RCVBUF, &size, &length);
    return size;
  };
  const int before = buffer();
  f.rig.system.conduct("root/db", Conduct::is_silent);
  f.reload(file("new", "\"16K\"", "/bin/false"));
  CHECK(buffer() != before);
  f.rig.system.conduct("root/db", Conduct::serves);
  f.rig.end("root/db");
  CHECK(buffer() == before);
  CHECK(f.rig.listeners.at("root/new") == nullptr);
  CHECK(f.rig.listener_at("root/old").is_open());
}

TEST_CASE("a stop during a trial leaves nothing half done") {
  Fixture f;
  f.rig.system.conduct("root/db", Conduct::is_silent);
  f.reload(kNew);
  f.rig.shutdown.graceful(true);
  REQUIRE(f.result);
  CHECK(f.result->problems == Words{"the daemon is stopping"});
  CHECK_FALSE(f.rig.listener_at("root/echo").gate().is_held_by(net::Gate::Holder::trial));
  CHECK(f.rig.catalogue.generation() == 1);
  CHECK(f.rig.catalogue.effective() == f.effective);
  f.rig.tick(std::chrono::milliseconds(500));
  CHECK(f.rig.is_done);
}

TEST_CASE("undoing leaves stopped children stopped, and restores temporary ones as running") {
  Rig rig(file_with(process_entry("idle") + "," + process_entry("once", R"("restart":"temporary")") + "," +
                    process_entry("bad", R"("ready":"notify_fd")")));
  rig.start();
  rig.operations.stop("root/idle", [](const procedure::Outcome&) {});
  rig.settle();
  rig.system.conduct("root/bad", Conduct::no_fork);
  rig.file.write(file_with(R"({"id":"once","type":"process","argv":["/bin/cat"],"restart":"temporary"},)"
                           R"({"id":"idle","type":"process","argv":["/bin/false"]},)"
                           R"({"id":"bad","type":"process","argv":["/bin/false"],"ready":"notify_fd"})"));
  Words problems;
  rig.reload.begin([&problems](const Reload::Result& got) { problems = got.problems; });
  rig.settle();
  REQUIRE(problems.size() == 2);  // nor does it start again
  CHECK(problems[0] == "root/bad did not start with the new configuration");
  CHECK(rig.state("root/idle") == supervision::NodeState::stopped);
  CHECK(rig.system.at("root/once").request.argv.front() == "/bin/true");
}

}  // namespace
}  // namespace bulkhead::reload
