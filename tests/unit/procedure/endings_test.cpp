// Listeners that end while the daemon continues, with scripted children.
#include "master/procedure/endings.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <string>
#include <vector>

#include "tests/unit/rig/rig.h"

namespace bulkhead::procedure {
namespace {

using namespace std::chrono_literals;
using namespace rig;
using supervision::NodeState;
using supervision::ReplyError;
using Words = std::vector<std::string>;

constexpr pid_t kConnection = 6'000'001;
const std::string kWeb =
    R"({"id":"web","type":"supervisor","children":[)" + listener_entry("x") + "," + listener_entry("y") + "]}";

struct Fixture {
  Rig rig;
  Words answers;
  explicit Fixture(const std::string& children) : rig(file_with(children)) { rig.start(); }
  void end(const std::string& path, std::chrono::milliseconds lame_duck = 0ms) {
    rig.endings.end(path, lame_duck,
                    [this, path](ReplyError error) { answers.push_back(path + " " + std::string(word_of(error))); });
  }
};

TEST_CASE("a listener without connections closes, drains and stops, then the stop answers") {
  Fixture f(listener_entry("echo"));
  f.end("root/echo");
  CHECK(f.rig.endings.touches("root/echo"));
  CHECK(f.rig.endings.first() == "root/echo");
  CHECK(f.answers.empty());
  f.rig.tick(200ms);
  CHECK(f.answers == Words{"root/echo ok"});
  CHECK(f.rig.state("root/echo") == NodeState::stopped);
  CHECK_FALSE(f.rig.listener_at("root/echo").is_open());
  CHECK(f.rig.count("drain_started") == 1);
  CHECK(f.rig.count("drain_done") == 1);
  CHECK(f.rig.endings.first().empty());
}

TEST_CASE("the workers of an ending listener drain before they are stopped") {
  Fixture f(listener_entry("echo", R"("workers":1)"));
  (void)f.rig.connect("root/echo/1", kConnection);
  f.end("root/echo");
  f.rig.tick(200ms);
  CHECK(f.rig.system.at("root/echo/1").heard == Words{"drain"});
  CHECK(f.answers.empty());
}

TEST_CASE("two stops of one listener end it once and answer both, in order") {
  Fixture f(listener_entry("echo"));
  std::vector<int> order;
  f.rig.endings.end("root/echo", {}, [&order](ReplyError) { order.push_back(1); });
  f.rig.endings.end("root/echo", {}, [&order](ReplyError) { order.push_back(2); });
  f.rig.tick(200ms);
  CHECK(order == std::vector<int>{1, 2});
  CHECK(f.rig.count("drain_started") == 1);
}

TEST_CASE("a stop above an ending listener waits until the listener has ended") {
  Fixture f(kWeb);
  f.end("root/web/x");
  f.end("root/web");
  CHECK(f.rig.endings.touches("root/web"));
  CHECK_FALSE(f.rig.endings.touches("root/web/y"));
  CHECK(f.rig.listener_at("root/web/y").end_phase() == net::EndPhase::idle);
  f.rig.tick(500ms);
  CHECK(f.answers == Words{"root/web/x ok", "root/web ok"});
  CHECK(f.rig.state("root/web") == NodeState::stopped);
}

TEST_CASE("a stop below an ending supervisor waits, and is answered by the state then") {
  Fixture f(kWeb);
  f.end("root/web");
  f.end("root/web/x");
  f.rig.tick(500ms);
  CHECK(f.answers == Words{"root/web ok", "root/web/x noproc"});
}

TEST_CASE("siblings end in parallel") {
  Fixture f(kWeb);
  f.end("root/web/x");
  f.end("root/web/y");
  CHECK(f.rig.endings.all());
  f.rig.tick(200ms);
  CHECK(f.answers.size() == 2);
}

TEST_CASE("while one listener serves, not all are ending") {
  Fixture f(kWeb);
  CHECK_FALSE(f.rig.endings.all());
  f.end("root/web/x");
  CHECK_FALSE(f.rig.endings.all());
}

TEST_CASE("a stop without lame duck ends the lame duck that is under way") {
  Fixture f(listener_entry("echo"));
  f.end("root/echo", 1h);
  f.rig.tick(200ms);
  CHECK(f.rig.listener_at("root/echo").end_phase() == net::EndPhase::lame_duck);
  f.end("root/echo", 1h);
  f.rig.tick(50ms);
  CHECK(f.rig.listener_at("root/echo").end_phase() == net::EndPhase::lame_duck);
  f.end("root/echo");
  CHECK(f.rig.listener_at("root/echo").end_phase() == net::EndPhase::closing);
  f.rig.tick(200ms);
  CHECK(f.answers == Words{"root/echo ok", "root/echo ok", "root/echo ok"});
}

TEST_CASE("a lame duck that is called off answers `restarting`, and the listener serves as before") {
  Fixture f(listener_entry("echo"));
  f.end("root/echo", 1h);
  CHECK(f.rig.endings.call_off("root/echo"));
  CHECK(f.answers == Words{"root/echo restarting"});
  CHECK(f.rig.listeners.serving_at("root/echo") != nullptr);
  CHECK(f.rig.is_running("root/echo"));
  CHECK_FALSE(f.rig.endings.touches("root/echo"));
  f.rig.tick(1s);
  CHECK(f.rig.is_running("root/echo"));
}

TEST_CASE("a listener that is past its lame duck, or is not ending, cannot be called off") {
  Fixture f(listener_entry("echo"));
  CHECK_FALSE(f.rig.endings.call_off("root/echo"));
  f.end("root/echo");
  CHECK_FALSE(f.rig.endings.call_off("root/echo"));
  CHECK(f.answers.empty());
}

TEST_CASE("a waiting stop begins when a lame duck is called off") {
  Fixture f(kWeb);
  f.end("root/web/x", 1h);
  f.end("root/web");
  CHECK(f.rig.endings.call_off("root/web/x"));
  f.rig.tick(500ms);
  CHECK(f.answers == Words{"root/web/x restarting", "root/web ok"});
}

TEST_CASE("a child that is no listener is stopped at once") {
  Fixture f(process_entry("db"));
  f.end("root/db");
  f.rig.settle();
  CHECK(f.answers == Words{"root/db ok"});
  CHECK(f.rig.count("drain_started") == 0);
}

TEST_CASE("a stop of an unknown path is answered by the tree") {
  Fixture f(process_entry("db"));
  f.end("root/nobody");
  CHECK(f.answers == Words{"root/nobody not_found"});
}

TEST_CASE("a worker that dies while its listener drains is replaced and drains, one that dies later is not") {
  Fixture f(listener_entry("echo", R"("workers":1)"));
  (void)f.rig.connect("root/echo/1", kConnection);
  f.rig.system.at("root/echo/1").obeys = false;
  f.end("root/echo");
  f.rig.tick(100ms);
  f.rig.end("root/echo/1");
  CHECK(f.rig.system.started("root/echo/1") == 2);
  CHECK(f.rig.system.at("root/echo/1").heard == Words{"drain"});
  f.rig.tick(100ms);
  CHECK_FALSE(f.rig.listener_at("root/echo").is_open());
  f.rig.end("root/echo/1");
  CHECK(f.rig.system.started("root/echo/1") == 2);
  CHECK(f.answers.empty());
  f.rig.system.end_unknown(kConnection, exited(0));
  f.rig.settle();
  f.rig.tick(100ms);
  CHECK(f.answers == Words{"root/echo ok"});
}

TEST_CASE("adopted connections are ended after drain_timeout") {
  Rig rig(file_with(listener_entry("echo", R"("workers":1)"), R"("drain_timeout":"1s")"));
  rig.start();
  (void)rig.connect("root/echo/1", kConnection);
  rig.end("root/echo/1");
  (void)rig.system.take_deeds();
  rig.endings.end("root/echo", {}, [](ReplyError) {});
  rig.tick(1200ms);
  CHECK(rig.system.take_deeds() == Words{"SIGTERM 6000001"});
  rig.tick(5s);
  CHECK(rig.system.take_deeds() == Words{"SIGKILL 6000001"});
}

TEST_CASE("a listener that gave up and is not started again closes its port; its connections continue") {
  Fixture f(listener_entry("echo", R"("workers":1,"max_restarts":0,"restart":"temporary")"));
  (void)f.rig.connect("root/echo/1", kConnection);
  net::Listener& echo = f.rig.listener_at("root/echo");
  f.rig.end("root/echo/1");
  CHECK_FALSE(echo.is_open());
  CHECK(echo.counts().serving == 1);
}

TEST_CASE("a listener that gave up and is permanent keeps its port until it is started again") {
  Fixture f(listener_entry("echo", R"("workers":1,"max_restarts":0)"));
  net::Listener& echo = f.rig.listener_at("root/echo");
  f.rig.end("root/echo/1");
  CHECK(echo.is_open());
  CHECK(&f.rig.listener_at("root/echo") == &echo);
  CHECK(f.rig.is_running("root/echo"));
}

TEST_CASE("a listener that is started again serves again, at the same port") {
  Fixture f(listener_entry("echo"));
  net::Listener& echo = f.rig.listener_at("root/echo");
  f.end("root/echo");
  f.rig.tick(200ms);
  f.rig.operations.start("root/echo", [](const Outcome&) {});
  f.rig.settle();
  CHECK(f.rig.listeners.serving_at("root/echo") == &echo);
  CHECK(echo.gate().accepting());
  CHECK(f.rig.is_running("root/echo"));
}

TEST_CASE("an ending that only a reload wants can be taken back until its node is being stopped") {
  Fixture f(listener_entry("echo", R"("workers":1)"));
  const std::uint32_t slot = f.rig.connect("root/echo/1", kConnection);
  f.rig.endings.end(
      "root/echo", {}, [](ReplyError) { FAIL("nobody is told"); }, Endings::For::good);
  f.rig.tick(200ms);
  CHECK(f.rig.endings.can_take_back("root/echo"));
  f.rig.endings.take_back("root/echo");
  CHECK_FALSE(f.rig.endings.touches("root/echo"));
  CHECK_FALSE(f.rig.listener_at("root/echo").is_ending());
  CHECK(f.rig.is_running("root/echo"));
  (void)slot;
}

TEST_CASE("what an operator has stopped too goes on ending") {
  Fixture f(listener_entry("echo", R"("workers":1)"));
  (void)f.rig.connect("root/echo/1", kConnection);
  f.end("root/echo");
  f.rig.endings.end(
      "root/echo", {}, [](ReplyError) { FAIL("nobody is told"); }, Endings::For::good);
  f.rig.endings.take_back("root/echo");
  CHECK(f.rig.endings.touches("root/echo"));
}

TEST_CASE("another program continues with an ending") {
  Fixture f(listener_entry("echo", R"("workers":1)"));
  (void)f.rig.connect("root/echo/1", kConnection);
  f.end("root/echo");
  const auto handover = f.rig.endings.hand_over();
  REQUIRE(handover.size() == 1);
  CHECK(handover.front().path == "root/echo");
  CHECK(handover.front().phase == net::EndPhase::closing);
  Fixture other(listener_entry("echo", R"("workers":1,"listen":"unix:@other")"));
  other.rig.endings.resume(handover);
  CHECK(other.rig.endings.ends("root/echo"));
  CHECK(other.rig.listener_at("root/echo").end_phase() == net::EndPhase::closing);
  other.end("root/echo");
  other.rig.tick(2s);
  CHECK(other.rig.state("root/echo") == NodeState::stopped);
  CHECK(other.answers == Words{"root/echo ok"});
  CHECK(other.rig.count("drain_started") == 0);  // the first program has published it
  CHECK(other.rig.count("drain_done") == 1);
}

}  // namespace
}  // namespace bulkhead::procedure
