// More and fewer workers.
#include "master/procedure/scaling.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <string>
#include <vector>

#include "master/procedure/workers_of.h"
#include "tests/unit/procedure/asked.h"
#include "tests/unit/rig/rig.h"
#include "worker/ipc/table/table.h"

namespace bulkhead::procedure {
namespace {

using namespace rig;
using supervision::ReplyError;
using Numbers = std::vector<std::uint32_t>;

Numbers numbers(const Rig& rig) {
  return worker_numbers(rig.engine, "root/echo");
}

TEST_CASE("scaling up starts the next numbers") {
  Rig rig(file_with(listener_entry("echo")));
  rig.start();
  Asked asked;
  rig.scaling.set("root/echo", 4, asked.done());
  rig.settle();
  CHECK(asked.is_done());
  CHECK(numbers(rig) == Numbers{1, 2, 3, 4});
  CHECK(rig.is_running("root/echo/4"));
}

TEST_CASE("scaling up starts one worker at a time") {
  Rig rig(file_with(listener_entry("echo")));
  rig.system.conduct("root/echo/3", Conduct::is_silent);
  rig.start();
  Asked asked;
  rig.scaling.set("root/echo", 4, asked.done());
  rig.settle();
  CHECK(rig.system.started("root/echo/4") == 0);
  CHECK(asked.answers == 0);
  rig.system.at("root/echo/3").say(ipc::Ready{});
  rig.settle();
  CHECK(asked.is_done());
  CHECK(rig.system.started("root/echo/4") == 1);
}

TEST_CASE("scaling down asks the highest numbers to leave and forgets them") {
  Rig rig(file_with(listener_entry("echo", R"("workers":4)")));
  rig.start();
  Asked asked;
  rig.scaling.set("root/echo", 2, asked.done());
  rig.settle();
  CHECK(asked.is_done());
  CHECK(numbers(rig) == Numbers{1, 2});
  CHECK_FALSE(rig.system.has("root/echo/3"));
  CHECK(rig.system.started("root/echo/1") == 1);
}

TEST_CASE(
    "a listener that is stopped, or whose supervisor is, starts with the number that an operator has set meanwhile") {
  const std::string path = "root/s/echo";
  for (const std::string& stopped : {path, std::string("root/s")}) {
    Rig rig(file_with(R"({"id":"s","type":"supervisor","children":[)" + listener_entry("echo") + "]}"));
    rig.start();
    Asked stop;
    rig.operations.stop(stopped, stop.done());
    rig.tick(std::chrono::milliseconds(500));
    REQUIRE(stop.is_done());
    Asked more;
    rig.scaling.change(path, 1, more.done());
    CHECK(more.is_done());
    Asked start;
    rig.operations.start(stopped, start.done());
    rig.settle();
    CHECK(start.is_done());
    CHECK(worker_numbers(rig.engine, path) == Numbers{1, 2, 3});
  }
}

TEST_CASE("scaling to the present number does nothing") {
  Rig rig(file_with(listener_entry("echo")));
  rig.start();
  (void)rig.system.take_deeds();
  Asked asked;
  rig.scaling.set("root/echo", 2, asked.done());
  CHECK(asked.is_done());
  rig.settle();
  CHECK(rig.system.deeds().empty());
}

TEST_CASE("gaps are filled before higher numbers are used") {
  Rig rig(file_with(listener_entry("echo", R"("workers":3)")));
  rig.start();
  Asked stopped;
  Asked removed;
  rig.operations.stop("root/echo/2", stopped.done());
  rig.settle();
  rig.operations.remove("root/echo/2", removed.done());
  rig.settle();
  REQUIRE(removed.is_done());
  REQUIRE(numbers(rig) == Numbers{1, 3});
  Asked asked;
  rig.scaling.change("root/echo", 2, asked.done());
  rig.settle();
  CHECK(asked.is_done());
  CHECK(numbers(rig) == Numbers{1, 2, 3, 4});
  CHECK(rig.system.started("root/echo/2") == 2);
}

TEST_CASE("two requests for one more worker start two, one after another") {
  Rig rig(file_with(listener_entry("echo")));
  rig.system.conduct("root/echo/3", Conduct::is_silent);
  rig.start();
  Asked first;
  Asked second;
  rig.scaling.change("root/echo", 1, first.done());
  rig.scaling.change("root/echo", 1, second.done());
  rig.settle();
  CHECK(rig.system.started("root/echo/4") == 0);
  rig.system.at("root/echo/3").say(ipc::Ready{});
  rig.settle();
  CHECK(first.is_done());
  CHECK(second.is_done());
  CHECK(numbers(rig) == Numbers{1, 2, 3, 4});
}

TEST_CASE("one more and one fewer leave the number unchanged") {
  Rig rig(file_with(listener_entry("echo")));
  rig.start();
  Asked more;
  Asked fewer;
  rig.scaling.change("root/echo", 1, more.done());
  rig.scaling.change("root/echo", -1, fewer.done());
  rig.settle();
  CHECK(more.is_done());
  CHECK(fewer.is_done());
  CHECK(rig.system.started("root/echo/3") == 1);
  CHECK(numbers(rig) == Numbers{1, 2});
}

TEST_CASE("requests for different listeners do not wait for each other") {
  Rig rig(file_with(listener_entry("echo") + "," + listener_entry("other")));
  rig.system.conduct("root/echo/3", Conduct::is_silent);
  rig.start();
  Asked waiting;
  Asked other;
  rig.scaling.change("root/echo", 1, waiting.done());
  rig.scaling.change("root/other", 1, other.done());
  rig.settle();
  CHECK(waiting.answers == 0);
  CHECK(other.is_done());
}

TEST_CASE("a refused request does not block the next one") {
  Rig rig(file_with(listener_entry("echo", R"("workers":1)")));
  rig.start();
  Asked refused;
  Asked next;
  rig.scaling.change("root/echo", -1, refused.done());
  rig.scaling.change("root/echo", 1, next.done());
  rig.settle();
  CHECK(refused.is_refused());
  CHECK(next.is_done());
  CHECK(numbers(rig) == Numbers{1, 2});
}

TEST_CASE("a listener has 1 to 256 workers") {
  static_assert(ipc::kMaxWorkers == 256);
  for (const std::int64_t workers : {-1, 0, 257}) {
    Rig rig(file_with(listener_entry("echo")));
    rig.start();
    Asked asked;
    rig.scaling.set("root/echo", workers, asked.done());
    rig.settle();
    CHECK(asked.is_refused());
    CHECK(asked.outcome.text == "a listener has 1 to 256 workers, not " + std::to_string(workers));
    CHECK(numbers(rig) == Numbers{1, 2});
  }
}

TEST_CASE("1 and 256 workers are allowed") {
  Rig rig(file_with(listener_entry("echo")));
  rig.start();
  Asked least;
  rig.scaling.set("root/echo", 1, least.done());
  rig.settle();
  CHECK(least.is_done());
  CHECK(numbers(rig) == Numbers{1});
  rig.system.conduct("root/echo/2", Conduct::is_silent);  // the first of many is enough
  Asked most;
  rig.scaling.set("root/echo", 256, most.done());
  rig.settle();
  CHECK(most.answers == 0);
  CHECK(rig.system.started("root/echo/2") == 2);
}

TEST_CASE("a worker that does not become ready ends the scaling") {
  Rig rig(file_with(listener_entry("echo")));
  rig.system.conduct("root/echo/3", Conduct::dies);
  rig.start();
  Asked asked;
  rig.scaling.set("root/echo", 4, asked.done());
  rig.settle();
  CHECK(asked.is_negative(ReplyError::start_failed));
  CHECK(asked.outcome.text == "root/echo: start_failed");
  CHECK(rig.system.started("root/echo/4") == 0);
  CHECK(rig.is_running("root/echo/2"));
}

TEST_CASE("an unknown listener is answered with the nearest path") {
  Rig rig(file_with(listener_entry("echo")));
  rig.start();
  Asked asked;
  rig.scaling.set("root/ecko", 3, asked.done());
  CHECK(asked.is_negative(ReplyError::not_found));
  CHECK(asked.outcome.text == "there is no listener root/ecko; did you mean root/echo?");
}

TEST_CASE("a process has no workers to scale") {
  Rig rig(file_with(process_entry("db")));
  rig.start();
  Asked asked;
  rig.scaling.change("root/db", 1, asked.done());
  CHECK(asked.is_negative(ReplyError::not_found));
}

TEST_CASE("while it is held, requests wait, except those of the holder") {
  Rig rig(file_with(listener_entry("echo")));
  rig.start();
  Asked waits;
  Asked settled;
  rig.scaling.hold();
  rig.scaling.change("root/echo", 1, waits.done());
  CHECK(rig.scaling.is_idle());
  rig.scaling.settle("root/echo", settled.done());
  rig.settle();
  CHECK(settled.is_done());
  CHECK(waits.answers == 0);
  rig.scaling.release();
  rig.settle();
  CHECK(waits.is_done());
  CHECK(numbers(rig) == Numbers{1, 2, 3});
}

}  // namespace
}  // namespace bulkhead::procedure
