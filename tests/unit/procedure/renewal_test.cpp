// Replacing the workers of a listener.
#include "master/procedure/renewal.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

#include "master/procedure/workers_of.h"
#include "tests/unit/procedure/asked.h"
#include "tests/unit/rig/rig.h"

namespace bulkhead::procedure {
namespace {

using namespace rig;
using supervision::ReplyError;
using Numbers = std::vector<std::uint32_t>;
using Words = std::vector<std::string>;

RenewalParts parts_of(Rig& rig) {
  return {rig.engine, rig.listeners, rig.children, rig.later};
}

// Another configuration is in effect: workers started before are outdated.
bool is_outdated(const process::WorkerProcess& worker) {
  return worker.generation == 1;
}

WorkerRenewal renewal_of(Rig& rig) {
  return {parts_of(rig), "root/echo", is_outdated};
}

void begin(Rig& rig) {
  rig.start();
  rig.settle();  // with many workers one is not enough
  rig.children.set_generation(2);
  (void)rig.system.take_deeds();
}

// The workers that were started or asked to leave, in order.
Words changes(Rig& rig) {
  Words out = rig.system.take_deeds();
  std::erase_if(out, [](const std::string& deed) { return deed.starts_with("reap"); });
  return out;
}

void extra(Rig& rig, WorkerRenewal& renewal) {
  Asked asked;
  renewal.start_extra(asked.done());
  rig.settle();
  REQUIRE(asked.is_done());
}

std::uint32_t generation(const Rig& rig, const std::string& worker) {
  return rig.children.view(rig.run_of(worker))->generation;
}

TEST_CASE("a new worker is ready before the first old one leaves, and the number stays the same") {
  Rig rig(file_with(listener_entry("echo")));
  begin(rig);
  WorkerRenewal renewal = renewal_of(rig);
  Asked started;
  renewal.start_extra(started.done());
  rig.settle();
  CHECK(started.is_done());
  CHECK(changes(rig) == Words{"start root/echo/3"});
  CHECK(rig.is_running("root/echo/3"));
  Asked replaced;
  renewal.replace(replaced.done());
  rig.settle();
  CHECK(replaced.is_done());
  CHECK(changes(rig) == Words{"retire root/echo/1", "start root/echo/1", "retire root/echo/2", "start root/echo/2"});
  Asked over;
  renewal.end_extra(over.done());
  rig.settle();
  CHECK(over.is_done());
  CHECK(changes(rig) == Words{"retire root/echo/3"});
  CHECK(worker_numbers(rig.engine, "root/echo") == Numbers{1, 2});
  CHECK(generation(rig, "root/echo/1") == 2);
  CHECK(generation(rig, "root/echo/2") == 2);
}

TEST_CASE("an extra worker that is still starting is waited for") {
  Rig rig(file_with(listener_entry("echo")));
  rig.system.conduct("root/echo/3", Conduct::is_silent);
  begin(rig);
  WorkerRenewal renewal = renewal_of(rig);
  Asked started;
  renewal.start_extra(started.done());
  rig.settle();
  CHECK(started.answers == 0);
  rig.system.at("root/echo/3").say(ipc::Ready{});
  rig.settle();
  CHECK(started.is_done());
}

TEST_CASE("max_unavailable workers are replaced at a time") {
  Rig rig(file_with(listener_entry("echo", R"("workers":5,"max_unavailable":2)")));
  begin(rig);
  WorkerRenewal renewal = renewal_of(rig);
  extra(rig, renewal);
  CHECK(changes(rig) == Words{"start root/echo/6", "start root/echo/7"});
  Asked replaced;
  renewal.replace(replaced.done());
  rig.settle();
  CHECK(replaced.is_done());
  CHECK(changes(rig) == Words{"retire root/echo/1", "retire root/echo/2", "start root/echo/1", "start root/echo/2",
                              "retire root/echo/3", "retire root/echo/4", "start root/echo/3", "start root/echo/4",
                              "retire root/echo/5", "start root/echo/5"});
}

TEST_CASE("a percentage of max_unavailable is rounded up") {
  Rig rig(file_with(listener_entry("echo", R"("workers":3,"max_unavailable":"50%")")));
  begin(rig);
  WorkerRenewal renewal = renewal_of(rig);
  extra(rig, renewal);
  CHECK(changes(rig) == Words{"start root/echo/4", "start root/echo/5"});
}

TEST_CASE("a batch is ready before the next one leaves") {
  Rig rig(file_with(listener_entry("echo")));
  begin(rig);
  WorkerRenewal renewal = renewal_of(rig);
  extra(rig, renewal);
  rig.system.conduct("root/echo/1", Conduct::is_silent);
  (void)changes(rig);
  Asked replaced;
  renewal.replace(replaced.done());
  rig.settle();
  CHECK(changes(rig) == Words{"retire root/echo/1", "start root/echo/1"});
  rig.system.at("root/echo/1").say(ipc::Ready{});
  rig.settle();
  CHECK(changes(rig) == Words{"retire root/echo/2", "start root/echo/2"});
  CHECK(replaced.is_done());
}

TEST_CASE("only outdated workers are replaced") {
  Rig rig(file_with(listener_entry("echo")));
  begin(rig);
  rig.end("root/echo/1");  // comes back under the new configuration
  WorkerRenewal renewal = renewal_of(rig);
  extra(rig, renewal);
  (void)changes(rig);
  Asked replaced;
  renewal.replace(replaced.done());
  rig.settle();
  CHECK(changes(rig) == Words{"retire root/echo/2", "start root/echo/2"});
}

TEST_CASE("a new worker that does not become ready is removed, and the old ones stay") {
  Rig rig(file_with(listener_entry("echo")));
  begin(rig);
  rig.system.conduct("root/echo/3", Conduct::dies);
  WorkerRenewal renewal = renewal_of(rig);
  Asked started;
  renewal.start_extra(started.done());
  rig.settle();
  CHECK(started.is_negative(ReplyError::start_failed));
  CHECK(started.outcome.text == "root/echo/3: a new worker did not become ready");
  CHECK(changes(rig) == Words{"start root/echo/3"});
  CHECK(worker_numbers(rig.engine, "root/echo") == Numbers{1, 2});
  CHECK(generation(rig, "root/echo/1") == 1);
}

TEST_CASE("if one of several new workers does not become ready, all of them leave") {
  Rig rig(file_with(listener_entry("echo", R"("max_unavailable":2)")));
  begin(rig);
  rig.system.conduct("root/echo/4", Conduct::dies);
  WorkerRenewal renewal = renewal_of(rig);
  Asked started;
  renewal.start_extra(started.done());
  rig.settle();
  CHECK(started.is_negative(ReplyError::start_failed));
  CHECK(started.outcome.text == "root/echo/3 to 4: a new worker did not become ready");
  CHECK(worker_numbers(rig.engine, "root/echo") == Numbers{1, 2});
  CHECK_FALSE(rig.system.has("root/echo/3"));
}

TEST_CASE("a batch that failed is tried again") {
  Rig rig(file_with(listener_entry("echo")));
  begin(rig);
  WorkerRenewal renewal = renewal_of(rig);
  extra(rig, renewal);
  rig.system.conduct("root/echo/1", Conduct::is_silent);
  Asked replaced;
  renewal.replace(replaced.done());
  rig.settle();
  rig.system.conduct("root/echo/1", Conduct::serves);
  rig.end("root/echo/1");
  CHECK(replaced.is_done());
  CHECK(rig.system.started("root/echo/1") == 3);
  CHECK(generation(rig, "root/echo/1") == 2);
  CHECK(generation(rig, "root/echo/2") == 2);
}

TEST_CASE("after a failed batch only the workers that do not run are tried again") {
  Rig rig(file_with(listener_entry("echo", R"("max_unavailable":2)")));
  begin(rig);
  WorkerRenewal renewal = renewal_of(rig);
  extra(rig, renewal);
  rig.system.conduct("root/echo/1", Conduct::dies);
  Asked replaced;
  renewal.replace(replaced.done());
  rig.settle();
  CHECK(replaced.answers == 1);
  CHECK(rig.system.started("root/echo/1") > 2);
  CHECK(rig.system.started("root/echo/2") == 2);
  CHECK(rig.is_running("root/echo/2"));
}

TEST_CASE("a batch that fails four times is given up, and the rest stays as it is") {
  Rig rig(file_with(listener_entry("echo")));
  begin(rig);
  WorkerRenewal renewal = renewal_of(rig);
  extra(rig, renewal);
  rig.system.conduct("root/echo/1", Conduct::dies);
  Asked replaced;
  renewal.replace(replaced.done());
  rig.settle();
  CHECK(replaced.is_negative(ReplyError::start_failed));
  CHECK(replaced.outcome.text == "root/echo: a replacement worker did not become ready");
  CHECK(rig.system.started("root/echo/1") == 1 + 4);
  CHECK(worker_numbers(rig.engine, "root/echo") == Numbers{2, 3});
  CHECK(generation(rig, "root/echo/2") == 1);
}

TEST_CASE("a stopped listener has no workers to renew") {
  Rig rig(file_with(listener_entry("echo")));
  begin(rig);
  Asked stopped;
  rig.operations.stop("root/echo", stopped.done());
  rig.tick(std::chrono::seconds(1));
  REQUIRE(stopped.is_done());
  (void)changes(rig);
  WorkerRenewal renewal = renewal_of(rig);
  Asked started;
  Asked replaced;
  Asked over;
  renewal.start_extra(started.done());
  renewal.replace(replaced.done());
  renewal.end_extra(over.done());
  rig.settle();
  CHECK(started.is_done());
  CHECK(replaced.is_done());
  CHECK(over.is_done());
  CHECK(changes(rig).empty());
}

TEST_CASE("a destroyed renewal ignores extra workers that become ready later") {
  Rig rig(file_with(listener_entry("echo")));
  rig.system.conduct("root/echo/3", Conduct::is_silent);
  begin(rig);
  auto renewal = std::make_unique<WorkerRenewal>(parts_of(rig), "root/echo", is_outdated);
  Asked started;
  renewal->start_extra(started.done());
  rig.settle();
  renewal.reset();
  rig.system.at("root/echo/3").say(ipc::Ready{});
  rig.settle();
  CHECK(started.answers == 0);
}

TEST_CASE("a destroyed renewal neither retries a failed batch nor begins another") {
  for (const bool becomes_ready : {true, false}) {
    Rig rig(file_with(listener_entry("echo")));
    begin(rig);
    auto renewal = std::make_unique<WorkerRenewal>(parts_of(rig), "root/echo", is_outdated);
    extra(rig, *renewal);
    rig.system.conduct("root/echo/1", Conduct::is_silent);
    Asked replaced;
    renewal->replace(replaced.done());
    rig.settle();
    (void)changes(rig);
    renewal.reset();
    rig.system.conduct("root/echo/1", Conduct::serves);
    if (becomes_ready) {
      rig.system.at("root/echo/1").say(ipc::Ready{});
      rig.settle();
    } else {
      rig.end("root/echo/1");
    }
    CHECK(replaced.answers == 0);
    CHECK(changes(rig).empty());
  }
}

TEST_CASE("after an upgrade the workers of all listeners are replaced, one listener after another") {
  Rig rig(file_with(listener_entry("echo", R"("workers":1)") + "," + listener_entry("other", R"("workers":1)")));
  rig.start();
  rig.children.set_incarnation(2);
  (void)rig.system.take_deeds();
  UpgradeRenewal renewal(parts_of(rig));
  Asked asked;
  renewal.begin(2, asked.done());
  rig.settle();
  CHECK(asked.is_done());
  CHECK(changes(rig) == Words{"start root/echo/2", "retire root/echo/1", "start root/echo/1", "retire root/echo/2",
                              "start root/other/2", "retire root/other/1", "start root/other/1",
                              "retire root/other/2"});
}

TEST_CASE("a failure after an upgrade leaves the other listeners as they are") {
  Rig rig(file_with(listener_entry("echo", R"("workers":1)") + "," + listener_entry("other", R"("workers":1)")));
  rig.start();
  rig.children.set_incarnation(2);
  rig.system.conduct("root/echo/2", Conduct::dies);
  UpgradeRenewal renewal(parts_of(rig));
  Asked asked;
  renewal.begin(2, asked.done());
  rig.settle();
  CHECK(asked.is_negative(ReplyError::start_failed));
  CHECK(rig.system.started("root/echo/1") == 1);
  CHECK(rig.system.started("root/other/2") == 0);
}

TEST_CASE("a renewal that is abandoned starts no further worker and does not answer") {
  Rig rig(file_with(listener_entry("echo", R"("workers":1)")));
  rig.start();
  rig.children.set_incarnation(2);
  rig.system.conduct("root/echo/2", Conduct::is_silent);
  UpgradeRenewal renewal(parts_of(rig));
  Asked asked;
  renewal.begin(2, asked.done());
  rig.settle();
  renewal.abandon();
  rig.system.at("root/echo/2").say(ipc::Ready{});
  rig.settle();
  CHECK(asked.answers == 0);
  CHECK(rig.system.started("root/echo/1") == 1);
}

TEST_CASE("after an upgrade without old workers there is nothing to do") {
  Rig rig(file_with(listener_entry("echo")));
  rig.start();
  UpgradeRenewal renewal(parts_of(rig));
  Asked asked;
  renewal.begin(1, asked.done());
  CHECK(asked.is_done());
}

}  // namespace
}  // namespace bulkhead::procedure
