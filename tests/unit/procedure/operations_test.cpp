// The operations on nodes of the tree.
#include "master/procedure/operations.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <string>
#include <vector>

#include "tests/unit/procedure/asked.h"
#include "tests/unit/procedure/requests.h"
#include "tests/unit/rig/rig.h"

namespace bulkhead::procedure {
namespace {

using namespace std::chrono_literals;
using namespace rig;
using supervision::NodeState;
using supervision::ReplyError;
using Words = std::vector<std::string>;

void stop(Rig& rig, const std::string& path) {
  Asked asked;
  rig.operations.stop(path, asked.done());
  rig.tick(kAnEnding);
  REQUIRE(asked.is_done());
}

TEST_CASE("a process that is stopped stays in the tree and is not started again") {
  Rig rig(file_with(process_entry("db")));
  rig.start();
  (void)rig.system.take_deeds();
  Asked asked;
  rig.operations.stop("root/db", asked.done());
  rig.settle();
  CHECK(asked.is_done());
  CHECK(rig.system.deeds() == Words{"SIGTERM root/db", "reap root/db"});
  CHECK(rig.state("root/db") == NodeState::stopped);
}

TEST_CASE("a stop answers when the process has ended") {
  Rig rig(file_with(process_entry("db")));
  rig.start();
  rig.system.at("root/db").obeys = false;
  Asked asked;
  rig.operations.stop("root/db", asked.done());
  rig.settle();
  CHECK(asked.answers == 0);
  rig.end("root/db", exited(0));
  CHECK(asked.is_done());
}

TEST_CASE("a listener that is stopped drains its queue, closes its port and asks its workers to leave") {
  Rig rig(file_with(listener_entry("echo", R"("workers":1)")));
  rig.start();
  (void)rig.system.take_deeds();
  stop(rig, "root/echo");
  CHECK(rig.system.deeds() == Words{"retire root/echo/1", "reap root/echo/1"});
  CHECK(rig.count("drain_started") == 1);
  CHECK(rig.count("drain_done") == 1);
  CHECK(rig.state("root/echo") == NodeState::stopped);
  CHECK_FALSE(rig.listener_at("root/echo").is_open());
}

TEST_CASE("the root can be neither stopped nor restarted") {
  Rig rig(file_with(process_entry("db")));
  rig.start();
  Asked stopped;
  Asked restarted;
  rig.operations.stop("root", stopped.done());
  rig.operations.restart("root", restarted.done());
  rig.settle();
  CHECK(stopped.is_refused());
  CHECK(stopped.outcome.text == "root is stopped with shutdown");
  CHECK(restarted.is_refused());
  CHECK(restarted.outcome.text == "root cannot be restarted; it is stopped with shutdown");
  CHECK(rig.is_running("root/db"));
}

TEST_CASE("an unknown path can be neither stopped nor started nor restarted nor removed") {
  Rig rig(file_with(process_entry("db")));
  rig.start();
  for (const auto operation : {&Operations::stop, &Operations::start, &Operations::restart, &Operations::remove}) {
    Asked asked;
    (rig.operations.*operation)("root/bd", asked.done());
    rig.settle();
    CHECK(asked.is_negative(ReplyError::not_found));
    CHECK(asked.outcome.text == "there is no node root/bd");
  }
}

TEST_CASE("a stopped child can be started again") {
  Rig rig(file_with(process_entry("db") + "," + listener_entry("echo")));
  rig.start();
  for (const char* path : {"root/db", "root/echo"}) {
    stop(rig, path);
    Asked asked;
    rig.operations.start(path, asked.done());
    rig.settle();
    CHECK(asked.is_done());
    CHECK(rig.is_running(path));
  }
  CHECK(rig.listener_at("root/echo").is_open());
  CHECK(rig.system.started("root/echo/2") == 2);
}

TEST_CASE("a running child cannot be started") {
  Rig rig(file_with(process_entry("db")));
  rig.start();
  Asked asked;
  rig.operations.start("root/db", asked.done());
  rig.settle();
  CHECK(asked.is_negative(ReplyError::running));
  CHECK(rig.system.started("root/db") == 1);
}

TEST_CASE("a start that fails is answered with start_failed") {
  Rig rig(file_with(process_entry("db")));
  rig.start();
  stop(rig, "root/db");
  rig.system.conduct("root/db", Conduct::no_fork);
  Asked asked;
  rig.operations.start("root/db", asked.done());
  rig.settle();
  CHECK(asked.is_negative(ReplyError::start_failed));
  CHECK(rig.is_running("root"));
}

TEST_CASE("a restart replaces the workers and keeps the port") {
  Rig rig(file_with(listener_entry("echo")));
  rig.start();
  const int port = rig.listener_at("root/echo").sockets().front().fd.get();
  Asked asked;
  rig.operations.restart("root/echo", asked.done());
  rig.settle();
  CHECK(asked.is_done());
  CHECK(rig.system.started("root/echo/1") == 2);
  CHECK(rig.system.started("root/echo/2") == 2);
  CHECK(rig.listener_at("root/echo").sockets().front().fd.get() == port);
  CHECK(rig.count("listener_bound") == 1);
  CHECK(rig.count("drain_started") == 0);
}

TEST_CASE("a restart keeps the connections") {
  Rig rig(file_with(listener_entry("echo", R"("workers":1)")));
  rig.start();
  (void)rig.connect("root/echo/1", 6'000'001);
  Asked asked;
  rig.operations.restart("root/echo", asked.done());
  rig.settle();
  CHECK(asked.is_done());
  CHECK(rig.listener_at("root/echo").counts().used == 1);
  CHECK(rig.children.adopted(rig.listener_at("root/echo")) == 1);
}

TEST_CASE("a restart starts a stopped child") {
  Rig rig(file_with(process_entry("db")));
  rig.start();
  stop(rig, "root/db");
  Asked asked;
  rig.operations.restart("root/db", asked.done());
  rig.settle();
  CHECK(asked.is_done());
  CHECK(rig.is_running("root/db"));
}

TEST_CASE("only an ended child is removed") {
  Rig rig(file_with(listener_entry("echo")));
  rig.start();
  Asked early;
  rig.operations.remove("root/echo", early.done());
  rig.settle();
  CHECK(early.is_negative(ReplyError::running));
  CHECK(rig.is_running("root/echo"));
  stop(rig, "root/echo");
  Asked asked;
  rig.operations.remove("root/echo", asked.done());
  rig.settle();
  CHECK(asked.is_done());
  CHECK_FALSE(rig.engine.has("root/echo"));
  CHECK(rig.listeners.at("root/echo") == nullptr);
}

TEST_CASE("a node that a reload stops and starts again is not removed between") {
  Rig rig(file_with(process_entry("db")));
  rig.start();
  rig.operations.keep("root/db");
  stop(rig, "root/db");
  Asked early;
  rig.operations.remove("root/db", early.done());
  rig.settle();
  CHECK(early.is_negative(ReplyError::running));
  CHECK(rig.engine.has("root/db"));
  rig.operations.release("root/db");
  Asked asked;
  rig.operations.remove("root/db", asked.done());
  rig.settle();
  CHECK(asked.is_done());
}

TEST_CASE("a child that is still ending is not removed") {
  Rig rig(file_with(listener_entry("echo", R"("workers":1)")));
  rig.start();
  rig.system.at("root/echo/1").obeys = false;
  Asked stopped;
  rig.operations.stop("root/echo", stopped.done());
  rig.settle();
  Asked asked;
  rig.operations.remove("root/echo", asked.done());
  CHECK(asked.is_negative(ReplyError::running));
  CHECK(rig.engine.has("root/echo"));
}

TEST_CASE("a process that is added runs, and the catalogue knows where it came from") {
  Rig rig(file_with(process_entry("db")));
  rig.start();
  Asked asked;
  add(rig, process_entry("new"), asked);
  CHECK(asked.is_done());
  CHECK(rig.is_running("root/new"));
  REQUIRE(rig.catalogue.added().size() == 1);
  CHECK(rig.catalogue.added().front().supervisor == "root");
  CHECK(rig.catalogue.find("root/new") != nullptr);
}

TEST_CASE("a listener that is added listens and has its workers") {
  Rig rig(file_with(process_entry("db")));
  rig.start();
  Asked asked;
  add(rig, listener_entry("echo"), asked);
  CHECK(asked.is_done());
  CHECK(rig.listener_at("root/echo").is_open());
  CHECK(rig.is_running("root/echo/2"));
}

TEST_CASE("a child that was added and removed can be added again") {
  Rig rig(file_with(process_entry("db")));
  rig.start();
  for (int time = 0; time < 2; ++time) {
    Asked added;
    add(rig, listener_entry("echo"), added);
    CHECK(added.is_done());
    stop(rig, "root/echo");
    Asked removed;
    rig.operations.remove("root/echo", removed.done());
    rig.settle();
    CHECK(removed.is_done());
    CHECK(rig.catalogue.added().empty());
  }
}

TEST_CASE("an existing child is not added, and is left unchanged") {
  Rig rig(file_with(process_entry("db")));
  rig.start();
  Asked running;
  add(rig, process_entry("db"), running);
  CHECK(running.is_negative(ReplyError::already_started));
  stop(rig, "root/db");
  Asked stopped;
  add(rig, process_entry("db"), stopped);
  CHECK(stopped.is_negative(ReplyError::already_present));
  CHECK(rig.system.started("root/db") == 1);
  CHECK(rig.catalogue.added().empty());
  CHECK(rig.catalogue.find("root/db") != nullptr);
}

TEST_CASE("an added child that does not start is forgotten") {
  for (const Conduct conduct : {Conduct::dies, Conduct::no_fork}) {
    Rig rig(file_with(process_entry("db")));
    rig.start();
    rig.system.conduct("root/echo/1", conduct);
    Asked asked;
    add(rig, listener_entry("echo"), asked);
    CHECK(asked.is_negative(ReplyError::start_failed));
    CHECK_FALSE(rig.engine.has("root/echo"));
    CHECK(rig.listeners.at("root/echo") == nullptr);
    CHECK(rig.catalogue.added().empty());
  }
}

TEST_CASE("a listener whose port is taken is not added") {
  Rig rig(file_with(listener_entry("echo")));
  rig.start();
  Asked asked;
  add(rig, listener_entry("second", R"("listen":"unix:@echo")"), asked);
  CHECK(asked.is_negative(ReplyError::start_failed));
  CHECK(asked.outcome.text.find("Address already in use") != std::string::npos);
  CHECK_FALSE(rig.engine.has("root/second"));
  CHECK(rig.listeners.at("root/second") == nullptr);
  CHECK(rig.catalogue.added().empty());
}

TEST_CASE("nothing is added below a supervisor that does not exist") {
  Rig rig(file_with(process_entry("db")));
  rig.start();
  Asked asked;
  add(rig, listener_entry("echo"), asked, "root/web");
  CHECK(asked.is_negative(ReplyError::noproc));
  CHECK(rig.listeners.all().empty());
  CHECK(rig.catalogue.added().empty());
}

TEST_CASE("a drain of all answers once, when every listener has ended") {
  Rig rig(
      file_with(listener_entry("echo") + "," + listener_entry("other", R"("workers":1)") + "," + process_entry("db")));
  rig.start();
  rig.system.at("root/other/1").obeys = false;
  Asked asked;
  rig.operations.drain(std::nullopt, asked.done());
  rig.tick(kAnEnding);
  CHECK(rig.state("root/echo") == NodeState::stopped);
  CHECK(asked.answers == 0);
  rig.end("root/other/1", killed_by(SIGKILL));
  rig.tick(kAnEnding);
  CHECK(asked.is_done());
  CHECK(rig.state("root/other") == NodeState::stopped);
  CHECK(rig.is_running("root/db"));
}

TEST_CASE("a drain of one listener leaves the others alone") {
  Rig rig(file_with(listener_entry("echo") + "," + listener_entry("other")));
  rig.start();
  Asked asked;
  rig.operations.drain("root/echo", asked.done());
  rig.tick(kAnEnding);
  CHECK(asked.is_done());
  CHECK(rig.is_running("root/other"));
  CHECK(rig.system.at("root/other/1").heard.empty());
}

TEST_CASE("a drain of all without any listener answers at once") {
  Rig rig(file_with(process_entry("db")));
  rig.start();
  Asked asked;
  rig.operations.drain(std::nullopt, asked.done());
  CHECK(asked.is_done());
}

TEST_CASE("an unknown listener is neither drained nor suspended nor resumed, and the nearest one is suggested") {
  Rig rig(file_with(listener_entry("echo")));
  rig.start();
  Asked drained;
  Asked suspended;
  Asked resumed;
  rig.operations.drain("root/ehco", drained.done());
  rig.operations.suspend("root/ehco", suspended.done());
  rig.operations.resume("root/ehco", resumed.done());
  for (const Asked* asked : {&drained, &suspended, &resumed}) {
    CHECK(asked->is_negative(ReplyError::not_found));
    CHECK(asked->outcome.text == "there is no listener root/ehco; did you mean root/echo?");
  }
}

TEST_CASE("resume calls off a drain in its lame duck, and the drain is answered so") {
  Rig rig(file_with(listener_entry("echo"), R"("lame_duck":"10s")"));
  rig.start();
  Asked drained;
  rig.operations.drain(std::nullopt, drained.done());
  rig.tick(kAnEnding);
  CHECK(rig.listener_at("root/echo").is_open());
  Asked resumed;
  rig.operations.resume("root/echo", resumed.done());
  CHECK(resumed.is_done());
  CHECK(drained.is_refused());
  CHECK(drained.outcome.text == "root/echo: drain called off");
  rig.tick(11s);
  CHECK(rig.is_running("root/echo"));
  CHECK(rig.system.started("root/echo/1") == 1);
}

TEST_CASE("a stop does not wait for the lame duck of a drain") {
  Rig rig(file_with(listener_entry("echo"), R"("lame_duck":"10s")"));
  rig.start();
  Asked drained;
  rig.operations.drain("root/echo", drained.done());
  rig.tick(kAnEnding);
  CHECK(drained.answers == 0);
  stop(rig, "root/echo");
  CHECK(drained.is_done());
}

TEST_CASE("suspend and resume notify the workers of a listener and publish events") {
  Rig rig(file_with(listener_entry("echo") + "," + listener_entry("other")));
  rig.start();
  Asked suspended;
  rig.operations.suspend("root/echo", suspended.done());
  rig.settle();
  CHECK(suspended.is_done());
  CHECK(rig.count("listener_suspended") == 1);
  Asked resumed;
  rig.operations.resume("root/echo", resumed.done());
  rig.settle();
  CHECK(resumed.is_done());
  CHECK(rig.count("listener_resumed") == 1);
  for (const char* worker : {"root/echo/1", "root/echo/2"}) {
    CHECK(rig.system.at(worker).heard == Words{"suspend", "resume"});
  }
  CHECK(rig.system.at("root/other/1").heard.empty());
}

TEST_CASE("suspend and resume without effect succeed and notify no process") {
  Rig rig(file_with(listener_entry("echo", R"("workers":1)")));
  rig.start();
  Asked resumed;
  rig.operations.resume("root/echo", resumed.done());
  CHECK(resumed.is_done());
  CHECK(rig.count("listener_resumed") == 0);
  for (int time = 0; time < 2; ++time) {
    Asked suspended;
    rig.operations.suspend("root/echo", suspended.done());
    rig.settle();
    CHECK(suspended.is_done());
  }
  CHECK(rig.count("listener_suspended") == 1);
  CHECK(rig.system.at("root/echo/1").heard == Words{"suspend"});
}

TEST_CASE("a listener that drains is neither suspended nor resumed") {
  Rig rig(file_with(listener_entry("echo", R"("workers":1)")));
  rig.start();
  rig.system.at("root/echo/1").obeys = false;
  Asked drained;
  rig.operations.drain("root/echo", drained.done());
  rig.tick(kAnEnding);
  for (const auto operation : {&Operations::suspend, &Operations::resume}) {
    Asked asked;
    (rig.operations.*operation)("root/echo", asked.done());
    CHECK(asked.is_refused());
    CHECK(asked.outcome.text == "root/echo is draining; start it when it has ended");
  }
  CHECK(rig.count("listener_suspended") == 0);
}

TEST_CASE("a listener that was stopped while suspended accepts when it is started again") {
  Rig rig(file_with(listener_entry("echo", R"("workers":1)")));
  rig.start();
  Asked suspended;
  rig.operations.suspend("root/echo", suspended.done());
  stop(rig, "root/echo");
  Asked started;
  rig.operations.start("root/echo", started.done());
  rig.settle();
  CHECK(started.is_done());
  CHECK_FALSE(rig.listener_at("root/echo").gate().is_held_by(net::Gate::Holder::operators));
  CHECK(rig.system.at("root/echo/1").heard.empty());
}

TEST_CASE("a start that fails closes the port that it has opened") {
  Rig rig(file_with(listener_entry("web")));
  rig.start();
  stop(rig, "root/web");
  rig.system.conduct("root/web/1", Conduct::dies);
  Asked asked;
  rig.operations.start("root/web", asked.done());
  rig.settle();
  CHECK(asked.is_negative(ReplyError::start_failed));
  CHECK(rig.state("root/web") == NodeState::stopped);
  CHECK_FALSE(rig.listener_at("root/web").is_open());
  rig.system.conduct("root/web/1", Conduct::serves);
  Asked again;
  rig.operations.start("root/web", again.done());
  rig.settle();
  CHECK(rig.listener_at("root/web").is_open());
}

}  // namespace
}  // namespace bulkhead::procedure
