// The reaper: to which child an end belongs, and the adoption of a worker's connections.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <chrono>
#include <string>
#include <vector>

#include "tests/unit/rig/rig.h"

namespace bulkhead::running {
namespace {

using namespace rig;
using Words = std::vector<std::string>;

constexpr pid_t kConnection = 6'000'001;
constexpr pid_t kStranger = 6'000'002;
constexpr pid_t kUnknown = 6'000'003;

constexpr const char* kOne = R"("workers":1)";

TEST_CASE("children are reaped in the order in which they ended, each by the part that owns it") {
  Rig rig(file_with(listener_entry("echo", kOne) + "," + process_entry("db")));
  rig.start();
  (void)rig.connect("root/echo/1", kConnection);
  rig.end("root/echo/1");
  net::Listener& echo = rig.listener_at("root/echo");
  REQUIRE(rig.children.adopted(echo) == 1);
  (void)rig.system.take_deeds();
  rig.strangers.insert(kStranger);
  rig.system.end_unknown(kConnection, exited(0));
  rig.system.end(rig.system.at("root/db"), exited(1));
  rig.system.end(rig.system.at("root/echo/1"), exited(1));
  rig.system.end_unknown(kStranger, exited(0));
  rig.system.end_unknown(kUnknown, exited(0));
  rig.reap();
  CHECK(rig.system.deeds() ==
        Words{"reap 6000001", "reap root/db", "start root/db", "reap root/echo/1", "reap 6000002", "reap 6000003"});
  CHECK(rig.children.adopted(echo) == 0);
  CHECK(echo.counts().completed == 1);
  CHECK(rig.strangers_reaped == std::vector<pid_t>{kStranger});
}

TEST_CASE("the connections of a dead worker are adopted, and this is reported") {
  Rig rig(file_with(listener_entry("echo", kOne)));
  rig.start();
  (void)rig.connect("root/echo/1", kConnection);
  rig.end("root/echo/1", killed_by(SIGKILL));
  net::Listener& echo = rig.listener_at("root/echo");
  CHECK(rig.children.adopted(echo) == 1);
  CHECK(rig.count("children_adopted") == 1);
  CHECK(echo.counts().serving == 1);
}

TEST_CASE("a connection that was reaped before its worker's end is seen keeps its exit status") {
  Rig rig(file_with(listener_entry("echo", R"("workers":1,"user":"root","handler":{"exec":["/bin/cat"]})")));
  rig.start();
  (void)rig.connect("root/echo/1", kConnection);
  rig.system.end_unknown(kConnection, killed_by(SIGSEGV));
  rig.reap();
  net::Listener& echo = rig.listener_at("root/echo");
  CHECK(echo.counts().serving == 1);  // its worker may be about to count it
  rig.end("root/echo/1");
  CHECK(rig.children.adopted(echo) == 0);
  CHECK(echo.counts().serving == 0);
  CHECK(echo.counts().crashed == 1);
}

TEST_CASE("a table cannot claim a worker, a process child or a foreign process as its connection") {
  Rig rig(file_with(listener_entry("echo") + "," + process_entry("db")));
  rig.start();
  rig.strangers.insert(kStranger);
  const auto claim = [&rig](pid_t pid) { return rig.connect("root/echo/1", pid); };
  (void)claim(rig.system.at("root/echo/2").pid);
  (void)claim(rig.system.at("root/db").pid);
  (void)claim(kStranger);
  rig.end("root/echo/1");
  CHECK(rig.children.adopted(rig.listener_at("root/echo")) == 0);
  CHECK(rig.listener_at("root/echo").counts().used == 0);
  CHECK(rig.is_running("root/echo/2"));
  CHECK(rig.is_running("root/db"));
}

TEST_CASE("adopted connections are signalled by the master, those of workers by their workers") {
  Rig rig(file_with(listener_entry("echo", kOne)));
  rig.start();
  const auto adopted = rig.connect("root/echo/1", kConnection);
  rig.end("root/echo/1");
  const auto served = rig.connect("root/echo/1", kUnknown);
  (void)rig.system.take_deeds();
  net::Listener& echo = rig.listener_at("root/echo");
  CHECK(rig.children.signal_connection(echo, adopted, echo.table().copy(adopted)->use, SIGTERM) == Signalled::yes);
  CHECK(rig.children.signal_connection(echo, served, echo.table().copy(served)->use, SIGTERM) == Signalled::yes);
  rig.settle();
  CHECK(rig.system.deeds() == Words{"SIGTERM 6000001"});
  CHECK(rig.system.at("root/echo/1").heard == Words{"signal 15"});
}

TEST_CASE("a slot that has been reused by another connection is not signalled") {
  Rig rig(file_with(listener_entry("echo", kOne)));
  rig.start();
  const auto slot = rig.connect("root/echo/1", kConnection);
  net::Listener& echo = rig.listener_at("root/echo");
  CHECK(rig.children.signal_connection(echo, slot, echo.table().copy(slot)->use + 1, SIGTERM) == Signalled::gone);
}

TEST_CASE("what runs as another user than its listener is adopted and counted, and never signalled") {
  if (geteuid() != 0) return;  // then the kernel sees to it
  Rig rig(file_with(listener_entry("echo", kOne)));
  rig.start();
  const auto slot = rig.connect("root/echo/1", kConnection);
  rig.system.be_of_user(kConnection, 0);
  rig.end("root/echo/1");
  net::Listener& echo = rig.listener_at("root/echo");
  CHECK(rig.children.adopted(echo) == 1);
  (void)rig.system.take_deeds();
  CHECK(rig.children.signal_connection(echo, slot, echo.table().copy(slot)->use, SIGTERM) == Signalled::gone);
  rig.children.signal_adopted(echo, SIGKILL);
  CHECK(rig.system.deeds().empty());
}

TEST_CASE("the ends of connections wait for the next worker, but are counted at once") {
  Rig rig(file_with(listener_entry("echo", kOne)));
  rig.start();
  (void)rig.connect("root/echo/1", kConnection);
  rig.system.conduct("root/echo/1", Conduct::is_silent);
  rig.end("root/echo/1");
  net::Listener& echo = rig.listener_at("root/echo");
  rig.system.end_unknown(kConnection, exited(0));
  rig.settle();
  CHECK(rig.table_at("root/echo").counts().serving == 1);
  CHECK(echo.counts().serving == 0);
  CHECK(echo.counts().completed == 1);
  rig.system.conduct("root/echo/1", Conduct::serves);
  rig.end("root/echo/1");
  rig.pass(std::chrono::seconds(10));
  CHECK(rig.table_at("root/echo").counts().serving == 0);
  CHECK(rig.table_at("root/echo").counts().completed == 1);
  CHECK(echo.counts().completed == 1);
}

TEST_CASE("two workers in a row that cannot work with their table get another one, with what lives in it") {
  Rig rig(file_with(listener_entry("echo")));
  rig.start();
  const auto slot = rig.connect("root/echo/1", kConnection);
  rig.end("root/echo/1");
  net::Listener& echo = rig.listener_at("root/echo");
  const auto use = echo.table().copy(slot)->use;
  const std::uint32_t before = echo.table().room().first_use;
  for (const char* path : {"root/echo/1", "root/echo/2"}) {
    rig.system.at(path).say(ipc::Fail{ipc::Stage::table, ETIMEDOUT, ""});
    rig.system.end(rig.system.at(path), exited(1));
  }
  rig.settle();
  rig.pass(std::chrono::seconds(10));
  CHECK(echo.table().room().first_use > before);
  REQUIRE(echo.table().copy(slot));
  CHECK(echo.table().copy(slot)->use == use);
  CHECK(echo.table().copy(slot)->state == ipc::SlotState::serving);
  CHECK(rig.children.adopted(echo) == 1);
  CHECK(rig.is_running("root/echo/1"));
  CHECK(rig.is_running("root/echo/2"));
}

TEST_CASE("workers and processes take one path at their end: the log, the event, then the tree") {
  Rig rig(file_with(listener_entry("echo", kOne) + "," + process_entry("db")));
  rig.start();
  rig.end("root/echo/1", killed_by(SIGABRT));
  rig.end("root/db", killed_by(SIGABRT));
  std::vector<std::string> exits;
  for (const auto& record : rig.events.records()) {
    if (record.event == "child_exited") exits.push_back(record.path + " " + record.json);
  }
  REQUIRE(exits.size() == 2);
  for (const std::string& exit : exits) {
    CHECK(exit.find(R"("reason":{"type":"signal","signal":"SIGABRT","core":false},"asked":false)") !=
          std::string::npos);
  }
  CHECK(rig.count("child_restarting") == 2);
}

using Companion = ScriptedSystem::Companion;

TEST_CASE("a run is over when its group is: told at its leader's end, restarted when nobody is left") {
  Rig rig(file_with(process_entry("db")));
  rig.start();
  rig.system.accompany("root/db", Companion::is_deaf);
  const pid_t leader = rig.system.at("root/db").pid;
  (void)rig.system.take_deeds();
  rig.end("root/db");
  CHECK(rig.count("child_exited") == 1);
  CHECK(rig.count("child_restarting") == 0);
  CHECK(rig.children.view(rig.run_of("root/db"))->waits_for_group);
  CHECK(rig.system.take_deeds() == Words{"SIGTERM root/db"});
  CHECK(rig.system.signal(leader, SIGKILL, true));
  (void)rig.system.take_deeds();
  rig.settle();
  CHECK(rig.system.take_deeds() == Words{"reap root/db", "start root/db"});
  CHECK(rig.count("child_exited") == 1);
  CHECK(rig.count("child_restarting") == 1);
}

TEST_CASE("a group member that is not the master's child counts too") {
  Rig rig(file_with(process_entry("db", R"("shutdown":"brutal_kill")")));
  rig.start();
  rig.system.accompany("root/db", Companion::is_deaf_and_no_child);
  (void)rig.system.take_deeds();
  rig.end("root/db");
  CHECK(rig.system.take_deeds() == Words{"SIGKILL root/db", "reap root/db", "start root/db"});
}

TEST_CASE("the end of a group that was asked with its leader answers the stop") {
  Rig rig(file_with(process_entry("db")));
  rig.start();
  rig.system.accompany("root/db", Companion::is_deaf);
  const pid_t leader = rig.system.at("root/db").pid;
  (void)rig.system.take_deeds();
  int answers = 0;
  procedure::Outcome outcome;
  rig.operations.stop("root/db", rig.keep(outcome, answers));
  rig.settle();
  CHECK(rig.system.take_deeds() == Words{"SIGTERM root/db"});
  CHECK(answers == 0);
  CHECK(rig.system.signal(leader, SIGKILL, true));
  rig.settle();
  CHECK(answers == 1);
  CHECK(rig.state("root/db") == supervision::NodeState::stopped);
}

TEST_CASE("kill_mode process asks nobody else and waits for nobody else") {
  Rig rig(file_with(process_entry("db", R"("kill_mode":"process")")));
  rig.start();
  rig.system.accompany("root/db", Companion::is_deaf);
  (void)rig.system.take_deeds();
  rig.end("root/db");
  CHECK(rig.system.deeds() == Words{"reap root/db", "start root/db"});
}

TEST_CASE("a leader that waits for its group hides nobody who ended after it") {
  Rig rig(file_with(process_entry("db") + "," + listener_entry("echo", kOne)));
  rig.start();
  rig.system.accompany("root/db", Companion::is_deaf);
  rig.end("root/db");
  (void)rig.connect("root/echo/1", kConnection);
  rig.end("root/echo/1");
  CHECK(rig.is_running("root/echo/1"));
  rig.system.end_unknown(kConnection, exited(0));
  rig.system.end_unknown(kUnknown, exited(0));
  rig.reap();
  CHECK(rig.listener_at("root/echo").counts().completed == 1);
  CHECK_FALSE(rig.system.has_ended(kUnknown));
}

}  // namespace
}  // namespace bulkhead::running
