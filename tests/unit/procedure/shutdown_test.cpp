// The shutdown of the daemon, and its exit status.
#include "master/procedure/shutdown.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <string>
#include <vector>

#include "tests/unit/rig/rig.h"

namespace bulkhead::procedure {
namespace {

using namespace std::chrono_literals;
using namespace rig;
using supervision::Cause;
using supervision::NodeState;
using Phase = Shutdown::Phase;
using Words = std::vector<std::string>;

constexpr pid_t kConnection = 6'000'001;
constexpr const char* kNoRestart = R"("max_restarts":0)";
constexpr const char* kOneWorker = R"("workers":1)";

TEST_CASE("a stop drains, stops the children in reverse order and exits with 0") {
  Rig rig(file_with(process_entry("db") + "," + listener_entry("echo", kOneWorker)));
  rig.start();
  (void)rig.system.take_deeds();
  rig.shutdown.graceful(true);
  rig.tick(200ms);
  CHECK(rig.system.deeds() == Words{"retire root/echo/1", "reap root/echo/1", "SIGTERM root/db", "reap root/db"});
  CHECK(rig.is_done);
  CHECK(rig.shutdown.status() == kStopped);
  CHECK(rig.count("drain_started") == 1);
  CHECK(rig.count("drain_done") == 1);
}

TEST_CASE("children are still supervised while the daemon drains") {
  Rig rig(file_with(process_entry("db") + "," + listener_entry("echo", kOneWorker)));
  rig.start();
  (void)rig.connect("root/echo/1", kConnection);
  rig.shutdown.graceful(true);
  rig.tick(200ms);
  rig.end("root/db");
  CHECK(rig.is_running("root/db"));
  CHECK_FALSE(rig.is_done);
}

TEST_CASE("the daemon waits for its connections and exits after the last one") {
  Rig rig(file_with(listener_entry("echo", kOneWorker)));
  rig.start();
  const auto slot = rig.connect("root/echo/1", kConnection);
  rig.shutdown.graceful(true);
  rig.tick(1s);
  CHECK(rig.shutdown.phase() == Phase::draining);
  (void)rig.table_at("root/echo").end(slot, false);
  rig.tick(50ms);
  CHECK(rig.is_done);
}

TEST_CASE("a fast shutdown asks workers to end their connections at once") {
  Rig rig(file_with(listener_entry("echo", kOneWorker)));
  rig.start();
  (void)rig.connect("root/echo/1", kConnection);
  rig.shutdown.fast();
  rig.settle();
  CHECK(rig.system.at("root/echo/1").heard == Words{"suspend", "signal 15"});
}

TEST_CASE("a daemon that was never ready has no lame duck") {
  for (const bool ready : {true, false}) {
    Rig rig(file_with(listener_entry("echo"), R"("lame_duck":"1h")"));
    rig.start();
    rig.shutdown.graceful(ready);
    CHECK(rig.shutdown.phase() == (ready ? Phase::lame_duck : Phase::closing));
  }
}

TEST_CASE("the times of a new configuration apply from the next phase on") {
  Rig rig(file_with(listener_entry("echo")));
  rig.start();
  rig.shutdown.set_times({30s, 1h, 0s});
  rig.shutdown.graceful(true);
  CHECK(rig.shutdown.phase() == Phase::lame_duck);
}

TEST_CASE("a child that is still starting is killed when the tree stops, and the status is that of a stop") {
  Rig rig(file_with(process_entry("db", R"("ready":"notify_fd")")));
  rig.system.conduct("root/db", Conduct::is_silent);
  rig.start();
  REQUIRE(rig.state("root/db") == NodeState::starting);
  rig.shutdown.graceful(false);
  rig.tick(200ms);
  CHECK(rig.system.deeds() == Words{"start root/db", "SIGKILL root/db", "reap root/db"});
  CHECK(rig.is_done);
  CHECK(rig.shutdown.status() == kStopped);
}

TEST_CASE("a root that gives up takes the daemon down, with a status of its own") {
  Rig rig(file_with(process_entry("db"), "", kNoRestart));
  rig.start();
  rig.end("root/db");
  rig.tick(200ms);
  CHECK(rig.is_done);
  CHECK(rig.shutdown.status() == kGaveUp);
}

TEST_CASE("a root that cannot start takes the daemon down; a lack of processes counts as a system error") {
  for (const auto& [conduct, status] : {std::pair{Conduct::dies, kGaveUp}, {Conduct::no_fork, kSystemError}}) {
    Rig rig(file_with(process_entry("db", R"("ready":"exec")"), "", kNoRestart));
    rig.system.conduct("root/db", conduct);
    rig.start();
    rig.tick(200ms);
    CHECK(rig.is_done);
    CHECK(rig.shutdown.status() == status);
  }
}

TEST_CASE("a tree that ends with its significant child exits with 0") {
  Rig rig(file_with(process_entry("job", R"("restart":"transient","significant":true)"), "",
                    R"("auto_shutdown":"any_significant")"));
  rig.start();
  rig.end("root/job", exited(0));
  rig.tick(200ms);
  CHECK(rig.is_done);
  CHECK(rig.shutdown.status() == kStopped);
}

TEST_CASE("connections that outlive the tree are ended before the daemon exits") {
  Rig rig(file_with(listener_entry("echo", kOneWorker) + "," + process_entry("db"), "", kNoRestart));
  rig.start();
  (void)rig.connect("root/echo/1", kConnection);
  rig.end("root/db");
  rig.tick(100ms);
  CHECK_FALSE(rig.is_done);
  CHECK(rig.shutdown.phase() == Phase::terminating);
  const Words deeds = rig.system.take_deeds();
  CHECK(std::ranges::find(deeds, "SIGTERM 6000001") != deeds.end());
  rig.system.end_unknown(kConnection, killed_by(SIGTERM));
  rig.settle();
  rig.tick(50ms);
  CHECK(rig.is_done);
}

TEST_CASE("the end of the root is a failure depending on its cause and on whether it was requested") {
  struct Row {
    Cause cause;
    bool ready;
    bool asked;  // a stop had begun
    int status;
  };
  constexpr Row kRows[] = {
      {Cause::request, true, true, kStopped},       {Cause::auto_shutdown, true, false, kStopped},
      {Cause::intensity, true, false, kGaveUp},     {Cause::intensity, false, false, kGaveUp},
      {Cause::start_failed, false, false, kGaveUp}, {Cause::start_failed, false, true, kStopped},
      {Cause::intensity, false, true, kStopped},    {Cause::intensity, true, true, kGaveUp},
  };
  for (const Row& row : kRows) {
    INFO("cause " << static_cast<int>(row.cause) << ", ready " << row.ready << ", asked " << row.asked);
    Rig rig(file_with(listener_entry("echo")));
    rig.start();
    if (row.asked) rig.shutdown.without_lame_duck();
    rig.shutdown.tree_terminated({row.cause, {}}, row.ready);
    CHECK(rig.shutdown.status() == row.status);
  }
}

}  // namespace
}  // namespace bulkhead::procedure
