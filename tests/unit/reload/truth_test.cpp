// After a reload the tree is what the file says, except for what operators have changed; and what a reload of the same
// file reports is what it does.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "master/reload/reload.h"
#include "tests/unit/procedure/asked.h"
#include "tests/unit/rig/rig.h"

namespace bulkhead::reload {
namespace {

using namespace rig;
using procedure::Asked;
using supervision::NodeState;
using Words = std::vector<std::string>;

Words words_of(const ReloadPlan& plan) {
  Words out;
  for (const Change& change : plan.changes) {
    std::string text = std::string(kChangeWords.text(change.kind)) + " " + change.path;
    for (const std::string& key : change.keys) text += " " + key;
    out.push_back(std::move(text));
  }
  return out;
}

Words words_of(const std::vector<Difference>& differences) {
  Words out;
  for (const Difference& one : differences) {
    out.push_back(one.path + " " + std::string(kDifferenceWords.text(one.how)) + (one.in_tree ? "" : ", missing"));
  }
  return out;
}

std::string once(const std::string& program) {
  return R"({"id":"once","type":"process","restart":"temporary","argv":[")" + program + R"("]})";
}

struct Fixture {
  Rig rig;

  explicit Fixture(const std::string& children) : rig(file_with(children)) {
    rig.start();
    (void)rig.system.take_deeds();
  }
  // The changes that it reports.
  Words reload(const std::string& children, bool reset = false) {
    Words out;
    rig.file.write(file_with(children));
    rig.reload.begin(
        [&out](const Reload::Result& got) { out = got.problems.empty() ? words_of(got.plan) : got.problems; },
        {.reset = reset});
    rig.tick(std::chrono::milliseconds(500));
    return out;
  }
  void stop(const std::string& path) { operate(&procedure::Operations::stop, path); }
  void remove(const std::string& path) { operate(&procedure::Operations::remove, path); }
  void start(const std::string& path) { operate(&procedure::Operations::start, path); }
  void restart(const std::string& path) { operate(&procedure::Operations::restart, path); }
  void scale(const std::string& path, int workers) {
    Asked asked;
    rig.scaling.set(path, workers, asked.done());
    rig.settle();
    REQUIRE(asked.is_done());
  }
  void add(const std::string& entry, const std::string& supervisor = "root") {
    Asked asked;
    config::Config config = config_of(file_with(entry));
    rig.operations.add(std::move(config.root.children.front()), {supervisor, entry, "", ""}, asked.done());
    rig.settle();
    REQUIRE(asked.is_done());
  }
  std::size_t workers(const std::string& path) { return rig.engine.view(path)->children.size(); }
  std::string program(const std::string& path) { return rig.system.at(path).request.argv.front(); }
  Words differ() { return words_of(differences({rig.engine, rig.catalogue, rig.listeners})); }

 private:
  void operate(void (procedure::Operations::*operation)(const std::string&, procedure::Done), const std::string& path) {
    Asked asked;
    (rig.operations.*operation)(path, asked.done());
    rig.tick(std::chrono::milliseconds(500));
    REQUIRE(asked.is_done());
  }
};

const std::string kDb = process_entry("db");
const std::string kOtherDb = R"({"id":"db","type":"process","argv":["/bin/false"]})";

TEST_CASE("a process that an operator has stopped is not started by a reload, and starts as the new file says") {
  Fixture f(kDb);
  f.stop("root/db");
  CHECK(f.reload(kOtherDb) == Words{"in_place root/db argv"});
  CHECK(f.rig.state("root/db") == NodeState::stopped);
  CHECK(f.reload(kOtherDb).empty());
  CHECK(f.rig.state("root/db") == NodeState::stopped);
  f.start("root/db");
  CHECK(f.program("root/db") == "/bin/false");
  CHECK(f.differ().empty());
}

TEST_CASE("a process that has finished is not started by a reload") {
  const std::string transient = R"(,"restart":"transient"})";
  Fixture f(R"({"id":"db","type":"process","argv":["/bin/true"])" + transient);
  f.rig.end("root/db", exited(0));
  CHECK(f.reload(R"({"id":"db","type":"process","argv":["/bin/false"])" + transient) == Words{"in_place root/db argv"});
  CHECK(f.rig.state("root/db") == NodeState::stopped);
  CHECK(f.differ().empty());
  CHECK(f.reload(R"({"id":"db","type":"process","argv":["/bin/false"])" + transient, true).empty());
}

TEST_CASE("a listener that an operator has stopped is not opened by a reload, and opens as the new file says") {
  Fixture f(listener_entry("echo"));
  f.stop("root/echo");
  CHECK(f.reload(listener_entry("echo", R"("handler":"discard","workers":1)")) ==
        Words{"in_place root/echo workers handler"});
  CHECK_FALSE(f.rig.listener_at("root/echo").is_open());
  CHECK(f.differ() == Words{"root/echo stopped"});
  f.start("root/echo");
  CHECK(f.rig.listener_at("root/echo").is_open());
  CHECK(f.workers("root/echo") == 1);
}

TEST_CASE("a child that an operator has deleted comes back, and is reported as added") {
  Fixture f(kDb + "," + listener_entry("echo"));
  for (const char* path : {"root/db", "root/echo"}) {
    f.stop(path);
    f.remove(path);
  }
  CHECK(f.differ() == Words{"root/db deleted, missing", "root/echo deleted, missing"});
  SECTION("unchanged") {
    CHECK(f.reload(kDb + "," + listener_entry("echo")) == Words{"added root/db", "added root/echo"});
  }
  SECTION("changed in the file") {
    CHECK(f.reload(kOtherDb + "," + listener_entry("echo", R"("handler":"discard")")) ==
          Words{"added root/db", "added root/echo"});
    CHECK(f.program("root/db") == "/bin/false");
  }
  CHECK(f.rig.is_running("root/db"));
  CHECK(f.rig.is_running("root/echo/2"));
  CHECK(f.rig.listener_at("root/echo").is_open());
  CHECK(f.differ().empty());
}

TEST_CASE("a deleted child that does not start anew stays deleted") {
  Fixture f(kDb);
  f.stop("root/db");
  f.remove("root/db");
  f.rig.system.conduct("root/db", Conduct::no_fork);
  CHECK(f.reload(kDb) == Words{"root/db did not start: start_failed"});
  CHECK(f.differ() == Words{"root/db deleted, missing"});
}

TEST_CASE("a temporary child that has ended comes back only as another one") {
  Fixture f(once("/bin/true"));
  f.rig.end("root/once", exited(0));
  CHECK(f.reload(once("/bin/true")).empty());
  CHECK(f.reload(once("/bin/true"), true).empty());
  CHECK_FALSE(f.rig.engine.has("root/once"));
  CHECK(f.differ().empty());
  CHECK(f.reload(once("/bin/cat")) == Words{"added root/once"});
  CHECK(f.program("root/once") == "/bin/cat");
}

TEST_CASE("a temporary child that an operator has stopped stays away until a reload resets") {
  Fixture f(once("/bin/true"));
  f.stop("root/once");
  CHECK(f.differ() == Words{"root/once stopped, missing"});
  CHECK(f.reload(once("/bin/true")).empty());
  CHECK(f.reload(once("/bin/true"), true) == Words{"added root/once"});
  CHECK(f.rig.is_running("root/once"));
}

TEST_CASE("children below a supervisor that is stopped are neither started nor reported as restarted") {
  const auto group = [](const std::string& program, const std::string& more) {
    return R"({"id":"group","type":"supervisor","children":[{"id":"job","type":"process","argv":[")" + program +
           R"("]})" + more + "]}";
  };
  Fixture f(group("/bin/true", ""));
  f.stop("root/group");
  CHECK(f.reload(group("/bin/cat", "," + kDb)) == Words{"in_place root/group/job argv", "added root/group/db"});
  CHECK(f.rig.state("root/group") == NodeState::stopped);
  CHECK(f.differ() == Words{"root/group stopped"});
  f.start("root/group");
  CHECK(f.program("root/group/job") == "/bin/cat");
  CHECK(f.rig.is_running("root/group/db"));
}

TEST_CASE("a process that an operator stops while a reload replaces it stays stopped") {
  Fixture f(kDb);
  f.rig.system.at("root/db").obeys = false;
  f.rig.file.write(file_with(kOtherDb));
  Words changes;
  f.rig.reload.begin([&changes](const Reload::Result& got) { changes = words_of(got.plan); });
  f.rig.settle();
  Asked asked;
  f.rig.operations.stop("root/db", asked.done());
  f.rig.end("root/db", exited(0));
  CHECK(asked.is_done());
  CHECK(changes == Words{"in_place root/db argv"});
  CHECK(f.rig.state("root/db") == NodeState::stopped);
  f.start("root/db");
  CHECK(f.program("root/db") == "/bin/false");
}

TEST_CASE("no restart undoes scale") {
  const std::string group = R"({"id":"group","type":"supervisor","strategy":"one_for_all","children":[)" + kDb + "," +
                            listener_entry("echo") + "]}";
  Fixture f(group);
  f.scale("root/group/echo", 4);
  SECTION("of the listener") {
    f.restart("root/group/echo");
  }
  SECTION("of its siblings") {
    f.rig.end("root/group/db");
  }
  SECTION("of its supervisor") {
    f.restart("root/group");
  }
  SECTION("its stop and start") {
    f.stop("root/group/echo");
    f.start("root/group/echo");
  }
  SECTION("that of its supervisor, with a reload in between") {
    f.stop("root/group");
    CHECK(f.reload(group).empty());
    f.start("root/group");
  }
  CHECK(f.workers("root/group/echo") == 4);
  CHECK(f.differ() == Words{"root/group/echo scaled"});
  CHECK(f.reload(group).empty());
  CHECK(f.workers("root/group/echo") == 4);
  CHECK(f.reload(group, true) == Words{"in_place root/group/echo workers"});
  CHECK(f.workers("root/group/echo") == 2);
  f.restart("root/group/echo");
  CHECK(f.workers("root/group/echo") == 2);
}

TEST_CASE("a listener that is down because its group restarts has the file's number of workers afterwards") {
  const auto group = [](const std::string& keys) {
    return R"({"id":"group","type":"supervisor","strategy":"one_for_all","children":[)" + process_entry("slow") + "," +
           listener_entry("echo", keys) + "," + kDb + "]}";
  };
  Fixture f(group(""));
  f.rig.system.at("root/group/slow").obeys = false;
  f.rig.end("root/group/db");
  REQUIRE(f.workers("root/group/echo") == 0);
  CHECK(f.reload(group(R"("workers":3)")) == Words{"in_place root/group/echo workers"});
  f.rig.end("root/group/slow");
  CHECK(f.workers("root/group/echo") == 3);
  CHECK(f.differ().empty());
}

TEST_CASE("another number of workers in the file ends scale, for restarts too") {
  Fixture f(listener_entry("echo"));
  f.scale("root/echo", 4);
  (void)f.reload(listener_entry("echo", R"("workers":3)"));
  f.restart("root/echo");
  CHECK(f.workers("root/echo") == 3);
  CHECK(f.differ().empty());
}

TEST_CASE("a worker that an operator deletes is one fewer") {
  Fixture f(listener_entry("echo"));
  f.stop("root/echo/1");
  CHECK(f.differ() == Words{"root/echo/1 stopped"});
  f.remove("root/echo/1");
  CHECK(f.differ() == Words{"root/echo scaled"});
  CHECK(f.reload(listener_entry("echo")).empty());
  CHECK(f.workers("root/echo") == 1);
  f.restart("root/echo");
  CHECK(f.workers("root/echo") == 1);
}

TEST_CASE("a reload with reset ends everything that operators have changed, and reports it") {
  const std::string file =
      kDb + "," + process_entry("job") + "," + listener_entry("echo") + "," + listener_entry("web");
  Fixture f(file);
  f.stop("root/db");
  f.stop("root/job");
  f.remove("root/job");
  f.scale("root/echo", 1);
  Asked suspended;
  f.rig.operations.suspend("root/web", suspended.done());
  f.add(process_entry("more"));
  const Words all{"root/db stopped", "root/job deleted, missing", "root/echo scaled", "root/web suspended",
                  "root/more added"};
  CHECK(f.differ() == all);
  CHECK(f.reload(file, true) == Words{"added root/job", "started root/db", "in_place root/echo workers",
                                      "resumed root/web", "removed root/more"});
  CHECK(f.differ().empty());
  CHECK(f.rig.is_running("root/db"));
  CHECK(f.rig.is_running("root/job"));
  CHECK(f.workers("root/echo") == 2);
  CHECK(f.rig.listener_at("root/web").gate().accepting());
  CHECK_FALSE(f.rig.engine.has("root/more"));
  CHECK(f.reload(file, true).empty());
}

TEST_CASE("a reset gives a name that an operator has taken back to the file") {
  Fixture f(kDb);
  f.stop("root/db");
  f.remove("root/db");
  f.add(kOtherDb);
  CHECK(f.differ() == Words{"root/db added"});
  CHECK(f.reload(kDb, true) == Words{"replaced root/db"});
  CHECK(f.program("root/db") == "/bin/true");
  CHECK(f.differ().empty());
}

TEST_CASE(
    "after a refused reload with reset a temporary child that operators have stopped is still missing as stopped") {
  Fixture f(kDb + "," + once("/bin/true"));
  f.stop("root/once");
  f.rig.system.conduct("root/bad", Conduct::no_fork);
  CHECK_FALSE(f.reload(kDb + "," + once("/bin/true") + "," + process_entry("bad"), true).empty());
  CHECK(f.differ() == Words{"root/once stopped, missing"});
}

TEST_CASE("a temporary child that operators have stopped is still missing as stopped after its own failed start") {
  const auto slow = [](const std::string& program) {
    return R"({"id":"once","type":"process","restart":"temporary","ready":"notify_fd","argv":[")" + program + R"("]})";
  };
  Fixture f(kDb + "," + slow("/bin/true"));
  f.stop("root/once");
  f.rig.system.conduct("root/once", Conduct::dies);
  CHECK_FALSE(f.reload(kDb + "," + slow("/bin/cat")).empty());
  CHECK(f.differ() == Words{"root/once stopped, missing"});
}

TEST_CASE("a refused reload with reset changes nothing, and the next one does not reset") {
  Fixture f(kDb);
  f.stop("root/db");
  f.rig.system.conduct("root/bad", Conduct::no_fork);
  CHECK(f.reload(kDb + "," + process_entry("bad"), true) == Words{"root/bad did not start: start_failed"});
  CHECK(f.differ() == Words{"root/db stopped"});
  CHECK(f.reload(kDb).empty());
  CHECK(f.rig.state("root/db") == NodeState::stopped);
}

TEST_CASE("a diff shows what a reload leaves different") {
  Fixture f(kDb + "," + listener_entry("echo") + "," + listener_entry("web"));
  f.stop("root/db");
  f.scale("root/echo", 4);
  f.scale("root/web", 4);
  f.rig.file.write(file_with(kDb + "," + listener_entry("echo", R"("workers":3)") + "," + listener_entry("web")));
  const Reload::Result result = f.rig.reload.diff("");
  CHECK(words_of(result.plan) == Words{"in_place root/echo workers"});
  CHECK(words_of(result.left) == Words{"root/db stopped", "root/web scaled"});
}

TEST_CASE("a process whose restart by an operator is ended by a reload is started by the reload") {
  const auto slow = [](const std::string& program) {
    return R"({"id":"db","type":"process","ready":"notify_fd","argv":[")" + program + R"("]})";
  };
  Fixture f(slow("/bin/true"));
  f.rig.system.conduct("root/db", Conduct::is_silent);
  Asked restarted;
  f.rig.operations.restart("root/db", restarted.done());
  f.rig.settle();
  REQUIRE(f.rig.state("root/db") == NodeState::starting);
  f.rig.system.at("root/db").obeys = true;
  f.rig.system.conduct("root/db", Conduct::serves);
  CHECK(f.reload(slow("/bin/false")) == Words{"restarted root/db argv"});
  CHECK(restarted.answers == 1);
  CHECK(f.rig.is_running("root/db"));
  CHECK(f.differ().empty());
}

TEST_CASE("a process that a failed reload could not start again is started by the next one") {
  Fixture f(kDb);
  f.rig.system.conduct("root/db", Conduct::no_fork);
  CHECK(f.reload(kOtherDb).size() == 2);
  CHECK(f.rig.state("root/db") == NodeState::stopped);
  CHECK(f.differ().empty());
  SECTION("which may fail, too") {
    CHECK(f.reload(kOtherDb) == Words{"root/db did not start with the new configuration"});
    f.rig.system.conduct("root/db", Conduct::serves);
    CHECK(f.reload(kOtherDb) == Words{"started root/db argv"});
    CHECK(f.program("root/db") == "/bin/false");
  }
  SECTION("with the file as it was") {
    f.rig.system.conduct("root/db", Conduct::serves);
    CHECK(f.reload(kDb) == Words{"started root/db"});
    CHECK(f.program("root/db") == "/bin/true");
  }
  SECTION("unless an operator stops it") {
    f.stop("root/db");
    f.rig.system.conduct("root/db", Conduct::serves);
    CHECK(f.reload(kDb).empty());
    CHECK(f.differ() == Words{"root/db stopped"});
  }
}

const std::string kManualDb = process_entry("db", R"("start":"manual")");

TEST_CASE("a process that the file no longer leaves to operators is started by the reload") {
  Fixture f(kManualDb);
  CHECK(f.rig.state("root/db") == NodeState::stopped);
  CHECK(f.reload(kManualDb).empty());
  SECTION("if nobody has started it") {
    CHECK(f.reload(kDb) == Words{"started root/db start"});
    CHECK(f.rig.is_running("root/db"));
    CHECK(f.reload(kManualDb) == Words{"in_place root/db start"});
    CHECK(f.rig.is_running("root/db"));
  }
  SECTION("and is left as it was if it does not start") {
    f.rig.system.conduct("root/db", Conduct::no_fork);
    CHECK(f.reload(kDb) == Words{"root/db did not start with the new configuration"});
    f.rig.system.conduct("root/db", Conduct::serves);
    CHECK(f.reload(kManualDb).empty());
    CHECK(f.rig.state("root/db") == NodeState::stopped);
    CHECK(f.reload(kDb) == Words{"started root/db start"});
  }
  SECTION("but not if an operator has stopped it") {
    f.start("root/db");
    f.stop("root/db");
    CHECK(f.differ().empty());
    CHECK(f.reload(kDb) == Words{"in_place root/db start"});
    CHECK(f.rig.state("root/db") == NodeState::stopped);
    CHECK(f.differ() == Words{"root/db stopped"});
  }
}

TEST_CASE("what a reset starts is judged by the new file") {
  SECTION("which leaves a stopped process to operators") {
    Fixture f(kDb);
    f.stop("root/db");
    CHECK(f.reload(kManualDb, true) == Words{"in_place root/db start"});
    CHECK(f.rig.state("root/db") == NodeState::stopped);
    CHECK(f.differ().empty());
  }
  SECTION("which no longer does") {
    Fixture f(kManualDb);
    f.start("root/db");
    f.stop("root/db");
    CHECK(f.reload(kDb, true) == Words{"in_place root/db start", "started root/db"});
    CHECK(f.rig.is_running("root/db"));
    CHECK(f.differ().empty());
  }
}

TEST_CASE("a reload with reset waits for a stop that is under way, and starts the node again") {
  Fixture f(kDb);
  f.rig.system.at("root/db").obeys = false;
  Asked stopped;
  f.rig.operations.stop("root/db", stopped.done());
  f.rig.settle();
  CHECK(f.differ() == Words{"root/db stopped"});
  Words changes;
  f.rig.file.write(file_with(kOtherDb));
  f.rig.reload.begin([&changes](const Reload::Result& got) { changes = words_of(got.plan); }, {.reset = true});
  f.rig.settle();
  CHECK(changes.empty());
  f.rig.end("root/db", exited(0));
  CHECK(stopped.is_done());
  CHECK(changes == Words{"in_place root/db argv", "started root/db"});
  CHECK(f.program("root/db") == "/bin/false");
}

TEST_CASE("a child that is added again after its supervisor was restarted is one difference") {
  Fixture f(R"({"id":"s","type":"supervisor","children":[)" + process_entry("db") + "]}");
  f.add(process_entry("more"), "root/s");
  f.stop("root/s");
  f.start("root/s");
  REQUIRE_FALSE(f.rig.engine.has("root/s/more"));
  f.add(process_entry("more"), "root/s");
  CHECK(f.differ() == Words{"root/s/more added"});
}

TEST_CASE("a drain that is called off leaves nothing different") {
  Rig rig(file_with(listener_entry("echo"), R"("lame_duck":"10s")"));
  rig.start();
  Asked drained;
  rig.operations.drain("root/echo", drained.done());
  rig.settle();
  CHECK(rig.catalogue.overrides().is_stopped("root/echo"));
  Asked resumed;
  rig.operations.resume("root/echo", resumed.done());
  CHECK(resumed.is_done());
  CHECK_FALSE(rig.catalogue.overrides().is_stopped("root/echo"));
}

TEST_CASE("a start that fails leaves the node stopped by operators") {
  Fixture f(kDb);
  f.stop("root/db");
  f.rig.system.conduct("root/db", Conduct::no_fork);
  Asked asked;
  f.rig.operations.start("root/db", asked.done());
  f.rig.settle();
  CHECK(asked.is_negative(supervision::ReplyError::start_failed));
  CHECK(f.differ() == Words{"root/db stopped"});
}

}  // namespace
}  // namespace bulkhead::reload
