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
  (void)rig.table_at("root/echo").end(slot, ipc::EndCount::normal);
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

const std::string kStop = std::string(kNoRestart) + R"(,"on_give_up":"stop")";

// The daemon whose root is about to give up because of "bad".
std::string file_that_gives_up(const std::string& root_keys, const std::string& listener_keys = kOneWorker) {
  return file_with(process_entry("db") + "," + listener_entry("echo", listener_keys) + "," + process_entry("bad"), "",
                   root_keys);
}

TEST_CASE("a root that gives up leaves the connections to their workers; processes end in reverse order") {
  Rig rig(file_that_gives_up(kNoRestart, R"("workers":2)"));
  rig.start();
  (void)rig.connect("root/echo/1", kConnection);
  (void)rig.system.take_deeds();
  rig.end("root/bad");
  CHECK(rig.shutdown.leaves());
  rig.tick(200ms);
  CHECK(rig.is_done);
  CHECK(rig.shutdown.status() == kGaveUp);
  CHECK(rig.system.deeds() == Words{"reap root/bad", "SIGTERM root/db", "reap root/db"});
  for (const char* worker : {"root/echo/1", "root/echo/2"}) {
    CHECK(rig.system.at(worker).heard == Words{"drain"});
    CHECK(rig.system.at(worker).is_alone);
    CHECK_FALSE(rig.system.at(worker).has_ended);
  }
  CHECK_FALSE(rig.listener_at("root/echo").is_open());
}

TEST_CASE("a worker that hangs delays the exit by a second, is killed, and its connections continue") {
  Rig rig(file_that_gives_up(kNoRestart));
  rig.start();
  (void)rig.connect("root/echo/1", kConnection);
  rig.system.at("root/echo/1").obeys = false;
  rig.end("root/bad");
  rig.tick(500ms);
  CHECK(rig.system.at("root/echo/1").is_alone);
  rig.tick(490ms);
  (void)rig.system.take_deeds();
  rig.tick(30ms);
  CHECK(rig.is_done);
  CHECK(rig.system.deeds() == Words{"SIGKILL root/echo/1", "reap root/echo/1", "SIGTERM root/db", "reap root/db"});
}

TEST_CASE("a worker that ends after it has been let go is not replaced") {
  Rig rig(file_that_gives_up(kNoRestart, R"("workers":2)"));
  rig.start();
  rig.system.at("root/echo/2").obeys = false;
  rig.end("root/bad");
  rig.tick(100ms);
  rig.end("root/echo/1", exited(0));
  rig.tick(1s);
  CHECK(rig.is_done);
  CHECK(rig.system.started("root/echo/1") == 1);
}

TEST_CASE("a worker that is still starting is let go like the others") {
  Rig rig(file_that_gives_up(kNoRestart));
  rig.start();
  rig.system.conduct("root/echo/1", Conduct::is_silent);
  rig.end("root/echo/1", killed_by(SIGKILL));
  REQUIRE(rig.state("root/echo/1") == NodeState::starting);
  rig.end("root/bad");
  rig.tick(100ms);
  ScriptedChild& worker = rig.system.at("root/echo/1");
  CHECK(worker.heard == Words{"drain"});
  worker.say(ipc::Hello{ipc::kProtocolVersion, {}});
  worker.say(ipc::Ready{});
  worker.say(ipc::Drained{0});
  rig.settle();
  rig.tick(100ms);
  CHECK(rig.is_done);
  CHECK_FALSE(worker.has_ended);
}

TEST_CASE("with on_give_up stop, and with auto_shutdown, connections are drained before any child is stopped") {
  struct Row {
    std::string root_keys;
    std::string job;
    int status;
  };
  const Row rows[] = {
      {kStop, "", kGaveUp},
      {R"("auto_shutdown":"any_significant")", R"("restart":"transient","significant":true)", kStopped}};
  for (const Row& row : rows) {
    Rig rig(
        file_with(process_entry("db") + "," + listener_entry("echo", kOneWorker) + "," + process_entry("bad", row.job),
                  "", row.root_keys));
    rig.start();
    const auto slot = rig.connect("root/echo/1", kConnection);
    (void)rig.system.take_deeds();
    rig.end("root/bad", exited(row.job.empty() ? 1 : 0));
    rig.tick(1s);
    CHECK(rig.shutdown.phase() == Phase::draining);
    CHECK_FALSE(rig.shutdown.leaves());
    CHECK(rig.system.deeds() == Words{"reap root/bad"});
    (void)rig.table_at("root/echo").end(slot, ipc::EndCount::normal);
    (void)rig.system.take_deeds();
    rig.tick(50ms);
    CHECK(rig.is_done);
    CHECK(rig.system.deeds() == Words{"retire root/echo/1", "reap root/echo/1", "SIGTERM root/db", "reap root/db"});
    CHECK(rig.shutdown.status() == row.status);
  }
}

TEST_CASE("a root that gives up while the daemon drains changes the exit status and nothing else") {
  Rig rig(file_that_gives_up(kNoRestart));
  rig.start();
  const auto slot = rig.connect("root/echo/1", kConnection);
  rig.shutdown.graceful(true);
  rig.tick(200ms);
  rig.end("root/bad");
  rig.tick(1s);
  CHECK(rig.shutdown.phase() == Phase::draining);
  (void)rig.table_at("root/echo").end(slot, ipc::EndCount::normal);
  rig.tick(50ms);
  CHECK(rig.is_done);
  CHECK(rig.shutdown.status() == kGaveUp);
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
    if (row.cause != Cause::request) rig.shutdown.tree_ending({row.cause, {}}, row.ready, {});
    CHECK(rig.shutdown.status() == row.status);
  }
}

}  // namespace
}  // namespace bulkhead::procedure
