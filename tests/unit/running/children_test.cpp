// Workers and processes, played by a scripted ChildSystem.
#include "master/running/children.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <string>
#include <tuple>
#include <vector>

#include "master/process/strays.h"
#include "tests/unit/rig/rig.h"

namespace bulkhead::running {
namespace {

using namespace std::chrono_literals;
using namespace rig;
using supervision::ExitReason;
using supervision::NodeState;
using supervision::StartFailed;
using Words = std::vector<std::string>;

template <class Event>
std::vector<Event> all(const Rig& rig) {
  std::vector<Event> out;
  for (const supervision::Event& event : rig.applied) {
    if (const auto* one = std::get_if<Event>(&event)) out.push_back(*one);
  }
  return out;
}

TEST_CASE("a listener's workers and a process start in the tree's order, and each becomes ready") {
  Rig rig(file_with(listener_entry("echo") + "," + process_entry("db")));
  rig.start();
  CHECK(rig.system.deeds() == Words{"start root/echo/1", "start root/echo/2", "start root/db"});
  CHECK(all<supervision::ChildReady>(rig).size() == 3);
  CHECK(rig.count("child_ready") == 3);
  CHECK(rig.is_running("root"));
  CHECK(rig.children.view(rig.run_of("root/db"))->pid == rig.system.at("root/db").pid);
}

TEST_CASE("a worker gets the sockets of its listener after its own descriptors") {
  Rig rig(file_with(listener_entry("echo", R"("listen":["unix:@a","unix:@b"],"workers":1)")));
  rig.start();
  const auto& placed = rig.system.at("root/echo/1").request.descriptors;
  const auto& sockets = rig.listener_at("root/echo").sockets();
  REQUIRE(placed.size() == ipc::kFirstSocketFd + 2);
  for (std::size_t i = 0; i < placed.size(); ++i) CHECK(placed[i].to == static_cast<int>(i));
  CHECK(placed[ipc::kFirstSocketFd].from == sockets[0].fd.get());
  CHECK(placed[ipc::kFirstSocketFd + 1].from == sockets[1].fd.get());
}

TEST_CASE("a failed fork is a failed start, reported once") {
  for (const char* path : {"root/db", "root/echo/1"}) {
    Rig rig(file_with(process_entry("db") + "," + listener_entry("echo", R"("workers":1)"), "", R"("max_restarts":0)"));
    rig.system.conduct(path, Conduct::no_fork);
    rig.start();
    const auto failed = all<StartFailed>(rig);
    REQUIRE(failed.size() == 1);
    CHECK(failed.front().reason == ExitReason::shortage);
    CHECK(failed.front().how == "could not be started (fork: Resource temporarily unavailable)");
    CHECK(rig.count("fork_failed") == 1);
    CHECK_FALSE(rig.children.view(failed.front().run));
  }
}

TEST_CASE("a process is ready when its report pipe closes without a failure, with notify_fd at a newline") {
  Rig rig(file_with(process_entry("db", R"("ready":"exec")") + "," + process_entry("web", R"("ready":"notify_fd")")));
  rig.system.conduct("root/db", Conduct::is_silent);
  rig.system.conduct("root/web", Conduct::is_silent);
  rig.start();
  CHECK(rig.state("root/db") == NodeState::starting);
  rig.system.at("root/db").report.reset();
  rig.settle();
  CHECK(rig.is_running("root/db"));
  CHECK(rig.state("root/web") == NodeState::starting);
  REQUIRE(::write(rig.system.at("root/web").notify.get(), "\n", 1) == 1);
  rig.settle();
  CHECK(rig.is_running("root/web"));
}

TEST_CASE("a failure before exec becomes the reason in words") {
  Rig rig(file_with(process_entry("db", R"("ready":"exec")"), "", R"("max_restarts":0)"));
  rig.system.conduct("root/db", Conduct::is_silent);
  rig.start();
  ScriptedChild& db = rig.system.at("root/db");
  ipc::send_failure(db.report.get(), ipc::Stage::directory, ENOENT);
  rig.system.end(db, exited(127));
  rig.settle();
  const auto failed = all<StartFailed>(rig);
  REQUIRE_FALSE(failed.empty());
  CHECK(failed.front().how.find("changing directory: No such file or directory") != std::string::npos);
}

TEST_CASE("a worker that did not become ready failed to start, one that was ready has ended") {
  Rig rig(file_with(listener_entry("echo", R"("workers":1)")));
  rig.start();
  rig.system.conduct("root/echo/1", Conduct::dies);
  rig.system.end(rig.system.at("root/echo/1"), killed_by(SIGSEGV));
  rig.settle();
  CHECK(all<supervision::ChildExited>(rig).size() == 1);
  CHECK(all<supervision::ChildExited>(rig).front().reason == ExitReason::abnormal);
  CHECK_FALSE(all<StartFailed>(rig).empty());
}

TEST_CASE("a failed start is reported once everything that its worker has left behind has ended") {
  Rig rig(file_with(listener_entry("echo", R"("workers":1,"max_restarts":0)"), "", R"("max_restarts":0)"));
  rig.system.conduct("root/echo/1", Conduct::is_silent);
  rig.start();
  constexpr pid_t kStray = 6'000'001;
  rig.system.leave_behind(kStray, {process::starting_title(), 1001, {}, kStray + 1});
  rig.system.leave_behind(kStray + 1, {process::starting_title(), 1002, {}, 0, true});
  rig.system.leave_behind(kStray + 2, {"sleep", 1002});
  rig.system.end(rig.system.at("root/echo/1"), killed_by(SIGSEGV));
  rig.children.reap();
  CHECK(all<StartFailed>(rig).empty());
  rig.settle();
  CHECK(all<StartFailed>(rig).size() == 1);
  CHECK(rig.system.is_child(kStray + 2));
  CHECK_FALSE(rig.system.is_child(kStray));
  CHECK_FALSE(rig.system.is_child(kStray + 1));
}

TEST_CASE("nothing is looked for when a worker ends that was ready") {
  Rig rig(file_with(listener_entry("echo", R"("workers":1)")));
  rig.start();
  rig.system.leave_behind(6'000'001, {process::starting_title(), 1001});
  rig.end("root/echo/1", killed_by(SIGSEGV));
  CHECK(rig.system.is_child(6'000'001));
  CHECK(rig.is_running("root/echo/1"));
}

TEST_CASE("a worker that was still starting when the daemon stops has not missed its start_timeout") {
  Rig rig(file_with(listener_entry("echo", R"("workers":1,"start_timeout":"1ms")")));
  rig.system.conduct("root/echo/1", Conduct::is_silent);
  rig.start();
  rig.children.abort_starts();
  CHECK_FALSE(rig.children.next_deadline());
  rig.settle();
  REQUIRE_FALSE(all<StartFailed>(rig).empty());
  CHECK(all<StartFailed>(rig).front().how.find("still starting when the daemon began to stop") != std::string::npos);
}

TEST_CASE("a worker that exits without being asked is counted and delayed like a crash") {
  Rig rig(file_with(listener_entry("echo", R"("workers":1)")));
  rig.start();
  const auto leave = [&rig] {
    rig.system.at("root/echo/1").say(ipc::Retiring{ipc::RetireReason::terminated, 0});
    rig.end("root/echo/1", exited(0));
  };
  leave();
  CHECK(all<supervision::ChildExited>(rig).front().reason == ExitReason::abnormal);
  CHECK(rig.is_running("root/echo/1"));
  leave();
  CHECK(rig.state("root/echo/1") == supervision::NodeState::waiting);
  CHECK(rig.engine.view("root/echo")->restarts_in_window == 2);
  rig.pass(std::chrono::milliseconds(110));
  CHECK(rig.is_running("root/echo/1"));
}

TEST_CASE("a worker that had been ready for a second restarts at once after any end") {
  Rig rig(file_with(listener_entry("echo", R"("workers":1)")));
  rig.start();
  for (int i = 0; i < 5; ++i) {
    rig.pass(std::chrono::seconds(1));
    rig.end("root/echo/1", killed_by(SIGKILL));
    CHECK(rig.is_running("root/echo/1"));
  }
}

TEST_CASE("a worker that the master has asked to leave has retired, and is replaced without being counted") {
  Rig rig(file_with(listener_entry("echo", R"("workers":1,"max_restarts":0)")));
  rig.start();
  rig.children.retire(rig.run_of("root/echo/1"));
  rig.settle();
  CHECK(all<supervision::ChildExited>(rig).front().reason == ExitReason::retired);
  CHECK(rig.system.started("root/echo/1") == 2);
  CHECK(rig.is_running("root/echo"));
}

TEST_CASE("a worker that asks to be replaced serves for a moment first, however often it asks") {
  Rig rig(file_with(listener_entry("echo", R"("workers":1,"max_accepts":1)")));
  rig.start();
  for (int i = 0; i < 100; ++i) {
    rig.system.at("root/echo/1").say(ipc::Worn{});
    rig.settle();
  }
  CHECK(rig.system.started("root/echo/1") == 1);
  CHECK(rig.count("worker_recycled") == 0);
}

TEST_CASE("a fork that fails on a restart, of a worker or a process, is not counted and is tried again") {
  Rig rig(file_with(listener_entry("echo", R"("workers":1,"max_restarts":1)") + "," + process_entry("db"), "",
                    R"("max_restarts":1)"));
  rig.start();
  for (const char* path : {"root/echo/1", "root/db"}) {
    INFO(path);
    rig.system.conduct(path, Conduct::no_fork);
    rig.end(path);
    CHECK(rig.state(path) == supervision::NodeState::waiting);
    for (int i = 0; i < 10; ++i) rig.pass(std::chrono::seconds(5));
    CHECK(rig.state(path) == supervision::NodeState::waiting);
    rig.system.conduct(path, Conduct::serves);
    rig.pass(std::chrono::seconds(5));
    CHECK(rig.is_running(path));
  }
  CHECK(rig.count("fork_failed") >= 20);
  CHECK(rig.count("child_restarting") == 2);
  CHECK_FALSE(rig.is_done);
}

TEST_CASE("a fork that fails at the first start ends the daemon with status 71") {
  Rig rig(file_with(listener_entry("echo", R"("workers":1)")));
  rig.system.conduct("root/echo/1", Conduct::no_fork);
  rig.start();
  rig.tick(std::chrono::milliseconds(200));
  CHECK(rig.is_done);
  CHECK(rig.shutdown.status() == 71);
}

TEST_CASE("a worker's last message is read before its end is judged") {
  Rig rig(file_with(listener_entry("echo", R"("workers":1,"max_restarts":0)"), "", R"("max_restarts":0)"));
  rig.system.conduct("root/echo/1", Conduct::is_silent);
  rig.start();
  ScriptedChild& worker = rig.system.at("root/echo/1");
  worker.say(ipc::Fail{ipc::Stage::table, ENOMEM, {}});
  rig.system.end(worker, exited(1));
  rig.reap();
  REQUIRE(all<StartFailed>(rig).size() == 1);
  CHECK(all<StartFailed>(rig).front().how.find("working with the connection table") != std::string::npos);
}

TEST_CASE("an operator's stop asks a worker over its channel and a process with its signal") {
  Rig rig(file_with(listener_entry("echo", R"("workers":1)") + "," + process_entry("db", R"("stop_signal":"INT")")));
  rig.start();
  (void)rig.system.take_deeds();
  rig.engine.apply(supervision::StopRequested{});
  rig.settle();
  CHECK(rig.system.deeds() == Words{"SIGINT root/db", "reap root/db", "retire root/echo/1", "reap root/echo/1"});
  CHECK(rig.count("child_stopping") == 2);
}

TEST_CASE("a run that ended by itself is neither signalled nor killed, and no stop is reported") {
  Rig rig(file_with(process_entry("db") + "," + listener_entry("echo", R"("workers":1)")));
  rig.start();
  for (const char* path : {"root/db", "root/echo/1"}) {
    rig.system.end(rig.system.at(path), exited(3));
    (void)rig.system.take_deeds();
    const auto run = rig.run_of(path);
    CHECK_FALSE(rig.children.announce_end(run));
    rig.children.stop(run);
    rig.children.kill(run);
    CHECK(rig.system.take_deeds().empty());
    CHECK_FALSE(rig.children.was_asked(run));
  }
  CHECK(rig.count("child_stopping") == 0);
}

TEST_CASE("a run is stopped and killed only after it has been announced") {
  Rig rig(file_with(process_entry("db")));
  rig.start();
  const auto run = rig.run_of("root/db");
  rig.system.at("root/db").obeys = false;
  (void)rig.system.take_deeds();
  rig.children.stop(run);
  CHECK(rig.system.take_deeds().empty());
  CHECK(rig.children.announce_end(run));
  rig.children.stop(run);
  rig.children.kill(run);
  CHECK(rig.system.take_deeds() == Words{"SIGTERM root/db", "SIGKILL root/db"});
}

TEST_CASE("at a shutdown a child that is still starting is killed and reported so") {
  Rig rig(file_with(process_entry("db", R"("ready":"notify_fd")")));
  rig.system.conduct("root/db", Conduct::is_silent);
  rig.start();
  rig.children.abort_starts();
  CHECK(rig.count("child_stopping") == 1);
  CHECK(rig.system.at("root/db").signals == Words{"SIGKILL"});
  rig.reap();
  CHECK(all<StartFailed>(rig).front().how.find("was still starting when the daemon began to stop") !=
        std::string::npos);
}

TEST_CASE("at a shutdown a child that has ended already keeps its own reason") {
  Rig rig(file_with(listener_entry("echo", R"("workers":1)")));
  rig.system.conduct("root/echo/1", Conduct::is_silent);
  rig.start();
  rig.system.end(rig.system.at("root/echo/1"), exited(9));
  rig.children.abort_starts();
  CHECK(rig.system.at("root/echo/1").signals.empty());
  CHECK(rig.count("child_stopping") == 0);
}

TEST_CASE("an ending listener whose port is closed gets no new worker") {
  Rig rig(file_with(listener_entry("echo", R"("workers":1)")));
  rig.start();
  net::Listener& echo = rig.listener_at("root/echo");
  echo.set_end_phase(net::EndPhase::draining);
  echo.close();
  rig.end("root/echo/1");
  CHECK(all<supervision::ChildExited>(rig).front().reason == ExitReason::permanent_failure);
  CHECK(rig.system.started("root/echo/1") == 1);
  CHECK_FALSE(echo.is_open());
}

TEST_CASE("a start for an ending listener whose port is closed fails for good, without a fork") {
  Rig rig(file_with(listener_entry("echo", R"("workers":1)")));
  rig.start();
  net::Listener& echo = rig.listener_at("root/echo");
  echo.set_end_phase(net::EndPhase::draining);
  echo.close();
  rig.operations.start("root/echo/2", [](const procedure::Outcome&) {});
  supervision::ChildSpec second;
  second.id = "2";
  second.type = supervision::NodeType::worker;
  rig.engine.operate(
      supervision::Operation::start_child, "root/echo/2", [](supervision::ReplyError) {}, second);
  REQUIRE(all<StartFailed>(rig).size() == 1);
  CHECK(all<StartFailed>(rig).front().reason == ExitReason::permanent_failure);
  CHECK(rig.system.started("root/echo/2") == 0);
}

TEST_CASE("a worker that dies while its listener drains with an open port is replaced") {
  Rig rig(file_with(listener_entry("echo", R"("workers":1)")));
  rig.start();
  rig.listener_at("root/echo").set_end_phase(net::EndPhase::draining);
  rig.end("root/echo/1");
  CHECK(rig.system.started("root/echo/1") == 2);
}

TEST_CASE("when a worker ends, its listener's other workers are woken") {
  Rig rig(file_with(listener_entry("echo") + "," + listener_entry("other", R"("workers":1)")));
  rig.start();
  rig.end("root/echo/1");
  CHECK(rig.system.at("root/echo/2").heard == Words{"kick", "collect"});
  CHECK(rig.system.at("root/other/1").heard.empty());
}

TEST_CASE("a worker whose loop has not turned at two checks in a row is killed") {
  Rig rig(file_with(listener_entry("echo", R"("workers":1)")));
  rig.start();  // the heartbeat in its table is from the beginning of time
  (void)rig.children.tick();
  CHECK(rig.system.at("root/echo/1").signals.empty());
  (void)rig.children.tick();
  CHECK(rig.system.at("root/echo/1").signals == Words{"SIGKILL"});
  CHECK(rig.count("watchdog_expired") == 1);
  rig.settle();
  CHECK(rig.system.started("root/echo/1") == 2);
}

TEST_CASE("a worker whose loop turns between two checks is left alone") {
  Rig rig(file_with(listener_entry("echo", R"("workers":1)")));
  rig.start();
  (void)rig.children.tick();
  rig.table_at("root/echo").worker(1).heartbeat_ns = now().time_since_epoch().count();
  (void)rig.children.tick();
  rig.table_at("root/echo").worker(1).heartbeat_ns = 0;
  (void)rig.children.tick();
  CHECK(rig.system.at("root/echo/1").signals.empty());
}

TEST_CASE("a worker that sends a malformed message is killed, and no other") {
  Rig rig(file_with(listener_entry("echo")));
  rig.start();
  REQUIRE(::write(rig.system.at("root/echo/1").channel.get(), "garbage", 7) == 7);
  rig.settle();
  CHECK(rig.count("child_exited") == 1);
  CHECK(rig.system.started("root/echo/1") == 2);
  CHECK(rig.system.started("root/echo/2") == 1);
  CHECK(all<supervision::ChildExited>(rig).front().how.find("sent a malformed message") != std::string::npos);
}

TEST_CASE("a worker of another version is killed") {
  Rig rig(file_with(listener_entry("echo", R"("workers":1)")));
  rig.system.conduct("root/echo/1", Conduct::is_silent);
  rig.start();
  rig.system.at("root/echo/1").say(ipc::Hello{ipc::kProtocolVersion + 1, {}});
  rig.settle();
  CHECK(all<StartFailed>(rig).front().how.find("another protocol version") != std::string::npos);
}

TEST_CASE("a worker that reports ready twice is killed") {
  Rig rig(file_with(listener_entry("echo", R"("workers":1)")));
  rig.start();
  rig.system.at("root/echo/1").say(ipc::Ready{});
  rig.settle();
  CHECK(all<supervision::ChildExited>(rig).front().how.find("ready twice") != std::string::npos);
}

TEST_CASE("a worker that became ready before it read that it is to stop has done nothing wrong") {
  Rig rig(file_with(listener_entry("echo", R"("workers":1)")));
  rig.system.conduct("root/echo/1", Conduct::is_silent);
  rig.start();
  const supervision::RunId run = rig.engine.view("root/echo/1")->run;
  REQUIRE(rig.children.announce_end(run));
  rig.children.stop(run);
  ScriptedChild& worker = rig.system.at("root/echo/1");
  worker.say(ipc::Ready{});
  rig.settle();
  CHECK(worker.heard == Words{"retire"});
  CHECK(worker.signals.empty());
}

TEST_CASE("a worker that started with the present gate gets no message when it is ready") {
  Rig rig(file_with(listener_entry("echo", R"("workers":1)")));
  rig.start();
  CHECK(rig.system.at("root/echo/1").heard.empty());
  rig.listener_at("root/echo").gate().hold(net::Gate::Holder::operators);
  rig.end("root/echo/1");
  CHECK(rig.system.started("root/echo/1") == 2);
  CHECK(rig.system.at("root/echo/1").heard.empty());
}

TEST_CASE("a worker that becomes ready gets the changes made while it was starting, and nothing else") {
  Rig rig(file_with(listener_entry("echo", R"("workers":1)")));
  rig.system.conduct("root/echo/1", Conduct::is_silent);
  rig.start();
  net::Gate& gate = rig.listener_at("root/echo").gate();
  const auto ready = [&rig] {
    rig.system.at("root/echo/1").say(ipc::Ready{});
    rig.settle();
    return rig.system.at("root/echo/1").heard;
  };
  gate.hold(net::Gate::Holder::trial);
  rig.settle();
  CHECK(ready() == Words{"suspend"});
  rig.end("root/echo/1");
  rig.pass(std::chrono::seconds(1));
  gate.release(net::Gate::Holder::trial);
  CHECK(ready() == Words{"resume"});
  rig.end("root/echo/1");
  rig.pass(std::chrono::seconds(1));
  gate.hold(net::Gate::Holder::trial);
  gate.release(net::Gate::Holder::trial);
  CHECK(ready().empty());
}

TEST_CASE("ready workers get a message only when the gate changes") {
  Rig rig(file_with(listener_entry("echo", R"("workers":1)")));
  rig.start();
  net::Gate& gate = rig.listener_at("root/echo").gate();
  gate.hold(net::Gate::Holder::operators);
  gate.hold(net::Gate::Holder::trial);
  gate.release(net::Gate::Holder::operators);
  gate.release(net::Gate::Holder::trial);
  rig.settle();
  CHECK(rig.system.at("root/echo/1").heard == Words{"suspend", "resume"});
}

TEST_CASE("a worker's reports about connections and accepting become events") {
  Rig rig(file_with(listener_entry("echo", R"("workers":1)")));
  rig.start();
  const ScriptedChild& worker = rig.system.at("root/echo/1");
  worker.say(ipc::Paused{ipc::PauseReason::full, 0});
  worker.say(ipc::Resumed{});
  ipc::Crash crash{};
  crash.pid = 6'000'001;
  worker.say(crash);
  rig.settle();
  CHECK(rig.count("accept_paused") == 1);
  CHECK(rig.count("accept_resumed") == 1);
  CHECK(rig.count("connection_crashed") == 1);
}

TEST_CASE("reload_signal goes to the concerned processes that are ready and have one") {
  Rig rig(file_with(process_entry("a", R"("reload_signal":"HUP")") + "," + process_entry("b") + "," +
                    process_entry("c", R"("reload_signal":"USR1")")));
  rig.start();
  (void)rig.system.take_deeds();
  rig.children.tell_to_reload([](const std::string& path) { return path != "root/c"; });
  CHECK(rig.system.deeds() == Words{"SIGHUP root/a"});
}

TEST_CASE("a worker that does not answer a signal in time is killed, one that answers is not") {
  Rig rig(file_with(listener_entry("echo")));
  rig.start();
  rig.system.at("root/echo/1").obeys = false;
  net::Listener& echo = rig.listener_at("root/echo");
  rig.children.signal_connections(echo, SIGTERM);
  rig.settle();
  rig.children.kill_unresponsive(echo, 0ns);
  CHECK(rig.system.at("root/echo/1").signals == Words{"SIGKILL"});
  CHECK(rig.system.at("root/echo/2").signals.empty());
  CHECK(rig.system.at("root/echo/2").heard == Words{"signal 15"});
}

TEST_CASE("a post_stop has a time limit even if the start has none") {
  for (const auto& [keys, least, most] :
       {std::tuple{R"("start_timeout":"infinity")", 290s, 300s}, std::tuple{R"("start_timeout":"20s")", 10s, 20s}}) {
    Rig rig(file_with(process_entry("db", std::string(R"("post_stop":["/bin/true"],)") + keys)));
    rig.start();
    rig.end("root/db", exited(0));
    const auto deadline = rig.children.next_deadline();
    REQUIRE(deadline);
    CHECK(*deadline > now() + least);
    CHECK(*deadline <= now() + most);
    CHECK_FALSE(rig.children.signal_process(rig.run_of("root/db"), SIGHUP));  // it is not for the command
  }
}

}  // namespace
}  // namespace bulkhead::running
