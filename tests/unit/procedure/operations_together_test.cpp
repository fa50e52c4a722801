// Several operations at the same time on the same nodes: which of them wait, and for what.
#include <catch2/catch.hpp>

#include "master/procedure/operations.h"
#include "tests/unit/procedure/requests.h"

namespace bulkhead::procedure {
namespace {

using namespace rig;
using supervision::NodeState;
using supervision::ReplyError;

TEST_CASE("a stop waits until a restart has begun its start, and ends that") {
  Rig rig(file_with(process_entry("db")));
  rig.start();
  rig.system.at("root/db").obeys = false;
  Asked restarted;
  Asked stopped;
  rig.operations.restart("root/db", restarted.done());
  rig.operations.stop("root/db", stopped.done());
  rig.settle();
  rig.end("root/db", exited(0));
  CHECK(restarted.answers == 1);
  CHECK(stopped.is_done());
  CHECK(rig.state("root/db") == NodeState::stopped);
  CHECK(rig.catalogue.overrides().is_stopped("root/db"));
}

TEST_CASE("a stop amid the restart of its supervisor is remembered as an operator's") {
  Rig rig(file_with(R"({"id":"s","type":"supervisor","children":[)" + process_entry("a") + "," + process_entry("b") +
                    "]}"));
  rig.start();
  rig.system.at("root/s/a").obeys = false;
  Asked restarted;
  Asked stopped;
  rig.operations.restart("root/s", restarted.done());
  rig.operations.stop("root/s/b", stopped.done());
  rig.settle();
  rig.end("root/s/a", exited(0));
  CHECK(restarted.is_done());
  CHECK(stopped.is_done());
  CHECK(rig.state("root/s/b") == NodeState::stopped);
  CHECK(rig.catalogue.overrides().is_stopped("root/s/b"));
}

TEST_CASE("a start that is asked for during a restart does not come before it") {
  Rig rig(file_with(process_entry("db")));
  rig.start();
  rig.system.at("root/db").obeys = false;
  Asked restarted;
  Asked started;
  rig.operations.restart("root/db", restarted.done());
  rig.operations.start("root/db", started.done());
  rig.end("root/db", exited(0));
  CHECK(restarted.is_done());
  CHECK(started.is_negative(ReplyError::running));
}

TEST_CASE("a child that is added during the end of another of its name starts after it") {
  Rig rig(file_with(process_entry("db")));
  rig.start();
  rig.system.at("root/db").obeys = false;
  Asked gone;
  Asked added;
  Asked again;
  rig.operations.discard("root/db", gone.done());
  add(rig, process_entry("db"), added);
  add(rig, process_entry("db"), again);
  CHECK(added.answers == 0);
  rig.end("root/db", exited(0));
  CHECK(gone.is_done());
  CHECK(added.is_done());
  CHECK(again.answers == 1);
  CHECK(rig.is_running("root/db"));
  CHECK(rig.catalogue.added().size() == 1);
}

TEST_CASE("a delete during a restart ends no connection") {
  Rig rig(file_with(listener_entry("echo", R"("workers":1)")));
  rig.start();
  Asked restarted;
  Asked removed;
  rig.operations.restart("root/echo", restarted.done());
  rig.operations.remove("root/echo", removed.done());
  rig.tick(kAnEnding);
  CHECK(restarted.is_done());
  CHECK(removed.is_negative(ReplyError::running));
  CHECK(rig.count("drain_started") == 0);
  CHECK(rig.is_running("root/echo"));
}

TEST_CASE("a restart waits for a restart with dependents, which it would leave down") {
  Rig rig(file_with(R"({"id":"s","type":"supervisor","strategy":"rest_for_one","children":[)" + process_entry("a") +
                    "," + process_entry("b") + "]}"));
  rig.start();
  rig.system.conduct("root/s/a", Conduct::is_silent);
  Asked group;
  Asked alone;
  rig.operations.restart_with_dependents("root/s/a", group.done());
  rig.operations.restart("root/s/a", alone.done());
  rig.settle();
  rig.system.conduct("root/s/a", Conduct::serves);
  rig.system.at("root/s/a").report.reset();
  rig.system.at("root/s/a").obeys = true;
  rig.tick(kAnEnding);
  CHECK(group.is_done());
  rig.end("root/s/a", killed_by(SIGTERM));
  CHECK(alone.is_done());
  CHECK(rig.is_running("root/s/b"));
}

TEST_CASE("a restart amid the restart of its group leaves the others to be started") {
  Rig rig(file_with(R"({"id":"s","type":"supervisor","strategy":"rest_for_one","children":[)" + process_entry("a") +
                    "," + process_entry("b") + "]}"));
  rig.start();
  rig.system.conduct("root/s/a", Conduct::is_silent);
  rig.end("root/s/a", killed_by(SIGKILL));
  Asked restarted;
  rig.operations.restart("root/s/a", restarted.done());
  rig.system.conduct("root/s/a", Conduct::serves);
  rig.end("root/s/a", killed_by(SIGTERM));
  CHECK(restarted.is_done());
  CHECK(rig.is_running("root/s/a"));
  CHECK(rig.is_running("root/s/b"));
}

TEST_CASE("what two reloads discard is taken back at once, and both are answered") {
  Rig rig(file_with(listener_entry("echo")));
  rig.start();
  (void)rig.connect("root/echo/1", 4711);
  Asked first;
  Asked second;
  rig.operations.discard("root/echo", first.done());
  rig.operations.discard("root/echo", second.done());
  rig.settle();
  REQUIRE(rig.operations.can_take_back("root/echo"));
  rig.operations.take_back("root/echo");
  CHECK(first.is_done());
  CHECK(second.is_done());
  CHECK(rig.operations.hand_over().empty());
  CHECK(rig.listener_at("root/echo").gate().accepting());
}

TEST_CASE("what has gone by itself is discarded all the same") {
  Rig rig(file_with(process_entry("db")));
  rig.start();
  Asked gone;
  rig.operations.discard("root/nothing", gone.done());
  CHECK(gone.is_done());
}

TEST_CASE("another program carries out what this one had not, and answers those who ask again") {
  Rig rig(file_with(process_entry("db") + "," + process_entry("web")));
  rig.start();
  rig.system.at("root/db").obeys = false;
  Asked lost;
  rig.operations.restart("root/db", lost.done());
  rig.operations.stop("root/db", lost.done());
  rig.settle();
  const auto handover = rig.operations.hand_over();
  REQUIRE(handover.size() == 2);
  CHECK(handover[0].begun);
  CHECK_FALSE(handover[1].begun);

  Rig other(file_with(process_entry("db") + "," + process_entry("web")));
  other.start();
  other.operations.resume(handover);
  Asked restarted;
  Asked stopped;
  Asked new_one;
  other.operations.restart("root/db", restarted.done());
  other.operations.stop("root/db", stopped.done());
  other.operations.stop("root/web", new_one.done());
  CHECK(other.is_running("root/web"));
  other.operations.go_on();
  other.settle();
  CHECK(restarted.answers == 1);
  CHECK(stopped.is_done());
  CHECK(new_one.is_done());
  CHECK(other.state("root/db") == NodeState::stopped);
  CHECK(other.operations.hand_over().empty());
}

}  // namespace
}  // namespace bulkhead::procedure
