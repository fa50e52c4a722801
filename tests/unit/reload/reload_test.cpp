// Reloads that succeed, or do not begin, with scripted children.
#include "master/reload/reload.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/rig/rig.h"

namespace bulkhead::reload {
namespace {

using namespace rig;
using Words = std::vector<std::string>;

struct Fixture {
  Rig rig;
  std::vector<Reload::Result> results;

  explicit Fixture(const std::string& children) : rig(file_with(children)) {
    rig.start();
    (void)rig.system.take_deeds();
  }
  void begin() {
    rig.reload.begin([this](const Reload::Result& got) { results.push_back(got); });
  }
  void reload(const std::string& children) {
    rig.file.write(file_with(children));
    begin();
    rig.settle();
  }
};

TEST_CASE("a reload of an unchanged file changes nothing") {
  const std::string same = listener_entry("echo") + "," + process_entry("db");
  Fixture f(same);
  f.reload(same);
  REQUIRE(f.results.size() == 1);
  CHECK(f.results[0].problems.empty());
  CHECK(f.results[0].plan.changes.empty());
  CHECK(f.rig.system.deeds().empty());
  CHECK(f.rig.catalogue.generation() == 1);
  CHECK(f.rig.count("reload_done") == 1);
}

TEST_CASE("a limit changes in place, without another worker") {
  Fixture f(listener_entry("echo", R"("max_connections":8)"));
  f.reload(listener_entry("echo", R"("max_connections":4)"));
  REQUIRE(f.results.size() == 1);
  CHECK(f.results[0].problems.empty());
  CHECK(f.rig.system.deeds().empty());
  CHECK(f.rig.listener_at("root/echo").config().max_connections == 4);
  CHECK(f.rig.catalogue.generation() == 2);
}

TEST_CASE("a number of workers changes in place") {
  Fixture f(listener_entry("echo"));
  f.reload(listener_entry("echo", R"("workers":3)"));
  CHECK(f.rig.system.deeds() == Words{"start root/echo/3"});
}

TEST_CASE("another handler replaces the workers, and the extra one leaves") {
  Fixture f(listener_entry("echo", R"("workers":1)"));
  f.reload(listener_entry("echo", R"("workers":1,"handler":"discard")"));
  REQUIRE(f.results.size() == 1);
  CHECK(f.results[0].problems.empty());
  CHECK(f.rig.children.view(f.rig.run_of("root/echo/1"))->generation == 2);
  CHECK_FALSE(f.rig.engine.has("root/echo/2"));
  CHECK(f.rig.listener_at("root/echo").gate().accepting());
}

TEST_CASE("a worker that is restarted while another listener is tried has the old file, and is replaced") {
  Fixture f(listener_entry("a") + "," + listener_entry("b"));
  f.rig.system.conduct("root/a/3", Conduct::is_silent);
  f.reload(listener_entry("a", R"("handler":"discard")") + "," + listener_entry("b", R"("handler":"discard")"));
  REQUIRE(f.rig.system.has("root/a/3"));
  f.rig.end("root/b/1");
  REQUIRE(f.rig.system.started("root/b/1") == 2);
  f.rig.system.at("root/a/3").obeys = true;
  f.rig.system.at("root/a/3").say(ipc::Ready{});
  f.rig.settle();
  REQUIRE(f.results.size() == 1);
  CHECK(f.results[0].problems.empty());
  CHECK(f.rig.system.started("root/b/1") == 3);
  CHECK(f.rig.system.started("root/b/2") == 2);
}

TEST_CASE("the new workers have the time to start that the new file gives them") {
  for (const auto& [before, after] : {std::pair{"10s", "infinity"}, std::pair{"infinity", "10s"}}) {
    const auto file = [](const std::string& handler, const std::string& timeout) {
      return listener_entry("echo", R"("workers":1,"handler":")" + handler + R"(","start_timeout":")" + timeout + "\"");
    };
    Fixture f(file("echo", before));
    f.rig.system.conduct("root/echo/2", Conduct::is_silent);
    f.reload(file("discard", after));
    std::optional<supervision::Instant> deadline;
    f.rig.children.for_each_worker([&](const process::WorkerProcess& worker) {
      if (worker.index == 2) deadline = worker.start_deadline;
    });
    CHECK(deadline.has_value() == (after == std::string("10s")));
    f.rig.system.conduct("root/echo/2", Conduct::serves);
    f.rig.end("root/echo/2");
    CHECK(f.results.at(0).problems.size() == 1);
    CHECK(f.rig.catalogue.at(f.rig.engine.view("root/echo")->spec->tag)->start_timeout.has_value() ==
          (before == std::string("10s")));
  }
}

TEST_CASE("added children start, then removed ones end") {
  Fixture f(process_entry("db") + "," + process_entry("old"));
  f.reload(process_entry("db") + "," + process_entry("new"));
  CHECK(f.rig.system.deeds() == Words{"start root/new", "SIGTERM root/old", "reap root/old"});
  CHECK_FALSE(f.rig.engine.has("root/old"));
  CHECK(f.rig.is_running("root/new"));
}

TEST_CASE("a reload requested during another one follows it") {
  Fixture f(process_entry("db"));
  f.rig.system.conduct("root/new", Conduct::is_silent);
  f.reload(process_entry("db") + "," + process_entry("new", R"("ready":"notify_fd")"));
  CHECK(f.rig.reload.under_way());
  f.rig.file.write(file_with(process_entry("db")));
  f.begin();
  f.rig.settle();
  CHECK(f.rig.reload.is_asked_for());
  CHECK(f.rig.count("reload_started") == 1);
  REQUIRE(::write(f.rig.system.at("root/new").notify.get(), "\n", 1) == 1);
  f.rig.system.at("root/new").obeys = true;
  f.rig.settle();
  REQUIRE(f.results.size() == 2);
  CHECK(f.results[0].plan.changes.at(0).kind == Change::Kind::added);
  CHECK(f.results[1].plan.changes.at(0).kind == Change::Kind::removed);
  CHECK_FALSE(f.rig.reload.under_way());
}

TEST_CASE("a reload is refused while the daemon stops") {
  Fixture f(process_entry("db"));
  f.rig.reload.daemon_stops();
  f.begin();
  REQUIRE(f.results.size() == 1);
  CHECK(f.results[0].problems == Words{"the daemon is stopping"});
  CHECK(f.rig.count("reload_started") == 0);
}

TEST_CASE("when the daemon stops, the trial under way is refused and its generation withdrawn") {
  Fixture f(process_entry("db"));
  f.rig.system.conduct("root/new", Conduct::is_silent);
  f.reload(process_entry("db") + "," + process_entry("new", R"("ready":"notify_fd")"));
  f.rig.reload.daemon_stops();
  REQUIRE(f.results.size() == 1);
  CHECK(f.results[0].problems == Words{"the daemon is stopping"});
  CHECK(f.rig.catalogue.generation() == 1);
  CHECK_FALSE(f.rig.reload.under_way());
}

TEST_CASE("a bad file is refused with its problems and changes nothing") {
  Fixture f(process_entry("db"));
  f.reload(process_entry("db", R"("stop_signal":"NONE")") + "," + process_entry("x", R"("colour":1)"));
  REQUIRE(f.results.size() == 1);
  CHECK(f.results[0].problems.size() == 2);
  CHECK(f.rig.system.deeds().empty());
  CHECK(f.rig.count("reload_rejected") == 1);
  CHECK(f.rig.catalogue.generation() == 1);
  CHECK(f.rig.reload.last()["errors"].size() == 2);
}

TEST_CASE("the reload signal goes only to processes that stay") {
  const std::string signal = R"("reload_signal":"HUP")";
  Fixture f(process_entry("stays", signal) + "," + process_entry("none") + "," +
            R"({"id":"other","type":"process","argv":["/bin/true"],"reload_signal":"HUP"})");
  f.reload(process_entry("stays", signal) + "," + process_entry("none") + "," +
           R"({"id":"other","type":"process","argv":["/bin/false"],"reload_signal":"HUP"},)" +
           process_entry("added", signal));
  CHECK(f.rig.system.at("root/stays").signals == Words{"SIGHUP"});
  CHECK(f.rig.system.at("root/none").signals.empty());
  CHECK(f.rig.system.at("root/other").signals.empty());
  CHECK(f.rig.system.at("root/added").signals.empty());
}

TEST_CASE("a reload leaves suspended what an operator suspended, and scaled what the file does not change") {
  const std::string same = listener_entry("echo");
  Fixture f(same);
  f.rig.scaling.set("root/echo", 3, [](const procedure::Outcome&) {});
  f.rig.operations.suspend("root/echo", [](const procedure::Outcome&) {});
  f.rig.settle();
  REQUIRE(f.rig.is_running("root/echo/3"));
  SECTION("the same file") {
    f.reload(same);
  }
  SECTION("another handler, for which the workers are replaced") {
    f.reload(listener_entry("echo", R"("handler":"discard")"));
    f.rig.settle();
  }
  CHECK_FALSE(f.rig.listener_at("root/echo").gate().accepting());
  CHECK(f.rig.engine.view("root/echo")->children.size() == 3);
  SECTION("another number of workers") {
    f.reload(listener_entry("echo", R"("workers":1)"));
    CHECK(f.rig.engine.view("root/echo")->children.size() == 1);
  }
}

TEST_CASE("a child that an operator has added is not added again") {
  Fixture f(process_entry("db"));
  config::Config more = config_of(file_with(process_entry("more")));
  f.rig.operations.add(std::move(more.root.children.front()), {"root", "", "", ""}, [](const procedure::Outcome&) {});
  f.rig.settle();
  REQUIRE(f.rig.is_running("root/more"));
  (void)f.rig.system.take_deeds();
  f.reload(process_entry("db") + "," + process_entry("more"));
  REQUIRE(f.results.size() == 1);
  REQUIRE(f.results[0].problems.size() == 1);
  CHECK(f.results[0].problems[0].find("root/more still exists") == 0);
  CHECK(f.rig.system.deeds().empty());
}

TEST_CASE("a listener that drains during a reload finishes draining, then starts as the new file says") {
  Fixture f(listener_entry("echo", R"("workers":1)") + "," + listener_entry("other", R"("workers":1)"));
  const auto slot = f.rig.connect("root/echo/1", 6'000'001);
  f.rig.operations.drain("root/echo", [](const procedure::Outcome&) {});
  f.rig.tick(std::chrono::milliseconds(200));
  f.reload(listener_entry("echo", R"("workers":1,"handler":"chargen")") + "," +
           listener_entry("other", R"("workers":1,"handler":"chargen")"));
  REQUIRE(f.results.size() == 1);
  CHECK(f.results[0].problems.empty());
  CHECK_FALSE(f.rig.listener_at("root/echo").is_open());
  CHECK(f.rig.system.started("root/echo/1") == 1);
  CHECK(f.rig.system.started("root/other/1") == 2);
  (void)f.rig.table_at("root/echo").end(slot, ipc::EndCount::normal);
  f.rig.tick(std::chrono::milliseconds(200));
  CHECK(f.rig.state("root/echo") == supervision::NodeState::stopped);
  f.rig.operations.start("root/echo", [](const procedure::Outcome&) {});
  f.rig.settle();
  CHECK(config::name_of(f.rig.listener_at("root/echo").config().handlers.front()) == "chargen");
}

TEST_CASE("a daemon that stops while a removed listener still drains ends both") {
  Fixture f(listener_entry("echo", R"("workers":1)") + "," + process_entry("db"));
  const auto slot = f.rig.connect("root/echo/1", 6'000'001);
  f.reload(process_entry("db"));
  f.rig.tick(std::chrono::milliseconds(200));
  f.rig.shutdown.graceful(true);
  f.rig.tick(std::chrono::milliseconds(200));
  CHECK_FALSE(f.rig.is_done);
  (void)f.rig.table_at("root/echo").end(slot, ipc::EndCount::normal);
  f.rig.tick(std::chrono::milliseconds(500));
  CHECK(f.rig.is_done);
  CHECK(f.rig.shutdown.status() == kStopped);
}

TEST_CASE("changes happen in the order of the new file, after the removals") {
  Fixture f(process_entry("a") + "," + listener_entry("gone", R"("workers":1)") + "," +
            listener_entry("echo", R"("workers":1)"));
  f.reload(listener_entry("echo", R"("workers":1,"handler":"discard")") + "," + process_entry("a") + "," +
           process_entry("b"));
  f.rig.tick(std::chrono::milliseconds(200));
  CHECK(f.rig.system.deeds() == Words{"start root/echo/2", "start root/b", "retire root/echo/1", "reap root/echo/1",
                                      "start root/echo/1", "retire root/echo/2", "reap root/echo/2",
                                      "retire root/gone/1", "reap root/gone/1"});
  CHECK_FALSE(f.rig.engine.has("root/gone"));
}

TEST_CASE("a listener that drains is taken back with its connections and gets new workers") {
  Fixture f(listener_entry("echo", R"("workers":1)") + "," + process_entry("db"));
  (void)f.rig.connect("root/echo/1", 6'000'001);
  f.reload(process_entry("db"));
  f.rig.tick(std::chrono::milliseconds(200));
  CHECK(f.rig.listener_at("root/echo").end_phase() == net::EndPhase::draining);
  CHECK(f.rig.catalogue.is_leaving("root/echo"));
  f.reload(listener_entry("echo", R"("workers":1)") + "," + process_entry("db"));
  REQUIRE(f.results.size() == 2);
  CHECK(f.results[1].problems.empty());
  CHECK_FALSE(f.rig.catalogue.is_leaving("root/echo"));
  CHECK(f.rig.listeners.serving_at("root/echo") != nullptr);
  CHECK(f.rig.listener_at("root/echo").gate().accepting());
  CHECK(f.rig.children.view(f.rig.run_of("root/echo/1"))->generation == 3);
  CHECK_FALSE(f.rig.endings.touches("root/echo"));
}

TEST_CASE("a reload that fails lets a listener drain on that it had taken back") {
  Fixture f(listener_entry("echo", R"("workers":1)") + "," + process_entry("db"));
  (void)f.rig.connect("root/echo/1", 6'000'001);
  f.reload(process_entry("db"));
  f.rig.tick(std::chrono::milliseconds(200));
  f.rig.system.conduct("root/bad", Conduct::is_silent);
  f.reload(listener_entry("echo", R"("workers":1)") + "," + process_entry("db") + "," +
           process_entry("bad", R"("ready":"notify_fd")"));
  f.rig.end("root/bad");
  REQUIRE(f.results.size() == 2);
  CHECK(f.results[1].problems.size() == 1);
  CHECK(f.rig.endings.ends("root/echo"));
  CHECK(f.rig.catalogue.is_leaving("root/echo"));
}

TEST_CASE("a process that has not ended is waited for, and started again") {
  Fixture f(process_entry("db") + "," + process_entry("slow"));
  f.rig.system.at("root/slow").obeys = false;
  f.reload(process_entry("db"));
  CHECK(f.results.size() == 1);
  f.reload(process_entry("db") + "," + process_entry("slow"));
  CHECK(f.results.size() == 1);
  f.rig.end("root/slow", exited(0));
  REQUIRE(f.results.size() == 2);
  CHECK(f.results[1].problems.empty());
  CHECK(f.rig.is_running("root/slow"));
}

// A reload that gives "job" another type, while the process of that name does not end.
struct Replacing : Fixture {
  Replacing() : Fixture(process_entry("job")) {
    rig.system.at("root/job").obeys = false;
    reload(listener_entry("job"));
    REQUIRE(results.empty());
  }
};

TEST_CASE("what a reload still owes is carried out after one that is refused") {
  Replacing f;
  f.reload(R"({"id":"job","type":"nonsense"})");
  REQUIRE(f.results.size() == 1);
  CHECK_FALSE(f.results[0].problems.empty());
  CHECK(f.rig.reload.last()["ok"] == false);
  f.rig.end("root/job", exited(0));
  REQUIRE(f.results.size() == 2);
  CHECK(f.results[1].problems.empty());
  CHECK(changes_json(f.results[1].plan)[0]["kind"] == "replaced");
  CHECK(f.rig.is_running("root/job"));
  CHECK(f.rig.reload.last()["ok"] == false);
  CHECK_FALSE(f.rig.reload.under_way());
  CHECK(f.rig.count("reload_started") == f.rig.count("reload_done") + f.rig.count("reload_rejected"));
}

TEST_CASE("what a reload still owes is superseded by one that is accepted, which answers for both") {
  Replacing f;
  f.reload(process_entry("job"));
  f.rig.end("root/job", exited(0));
  REQUIRE(f.results.size() == 2);
  for (const Reload::Result& result : f.results) {
    CHECK(result.problems.empty());
    CHECK(changes_json(result.plan)[0]["kind"] == "added");
  }
  CHECK(f.rig.is_running("root/job"));
}

TEST_CASE("two reloads of the same file at once are both answered when what is missing is there") {
  Replacing f;
  f.begin();
  f.rig.settle();
  CHECK(f.results.empty());
  f.rig.end("root/job", exited(0));
  REQUIRE(f.results.size() == 2);
  CHECK(f.results[0].problems.empty());
  CHECK(f.results[1].problems.empty());
  CHECK(f.rig.is_running("root/job"));
}

TEST_CASE("a child that leaves the tree after the reload was planned comes back if the new file keeps it") {
  const auto job = [](const std::string& restart) { return process_entry("job", R"("restart":")" + restart + "\""); };
  Fixture f(job("temporary"));
  f.rig.system.conduct("root/new/1", Conduct::is_silent);
  f.reload(job("permanent") + "," + listener_entry("new", R"("workers":1)"));
  REQUIRE(f.results.empty());
  f.rig.end("root/job", exited(0));
  REQUIRE_FALSE(f.rig.engine.has("root/job"));
  f.rig.system.at("root/new/1").say(ipc::Ready{});
  f.rig.settle();
  REQUIRE(f.results.size() == 1);
  CHECK(f.results[0].problems.empty());
  CHECK(f.rig.is_running("root/job"));
}

TEST_CASE("what is owed is refused when the daemon stops") {
  Replacing f;
  f.reload(R"({"id":"job","type":"nonsense"})");
  f.rig.reload.daemon_stops();
  REQUIRE(f.results.size() == 2);
  CHECK_FALSE(f.results[1].problems.empty());
}

TEST_CASE("a reload removes what is being restarted meanwhile") {
  Fixture f(process_entry("db") + "," + process_entry("slow"));
  f.rig.system.at("root/slow").obeys = false;
  int answers = 0;
  f.rig.operations.restart("root/slow", [&answers](const procedure::Outcome&) { ++answers; });
  f.reload(process_entry("db"));
  f.rig.end("root/slow", exited(0));
  CHECK(answers == 1);
  CHECK_FALSE(f.rig.engine.has("root/slow"));
  CHECK_FALSE(f.rig.catalogue.is_leaving("root/slow"));
}

}  // namespace
}  // namespace bulkhead::reload
