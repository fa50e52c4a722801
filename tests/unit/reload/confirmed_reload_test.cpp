// Reloads that have to be confirmed, with scripted children.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "master/reload/reload.h"
#include "tests/unit/rig/rig.h"

namespace bulkhead::reload {
namespace {

using namespace rig;
using namespace std::chrono_literals;
using Answer = Confirmation::Answer;
using Words = std::vector<std::string>;

constexpr const char* kNotifies = R"("ready":"notify_fd")";

std::string program_entry(const std::string& id, const std::string& program) {
  return R"({"id":")" + id + R"(","type":"process","argv":[")" + program + R"("],)" + kNotifies + "}";
}

struct Fixture {
  Rig rig;
  std::vector<Reload::Result> results;

  explicit Fixture(const std::string& children = process_entry("db")) : rig(file_with(children)) { rig.start(); }
  void begin(const std::string& children, std::optional<supervision::Duration> confirm, bool reset = false) {
    rig.file.write(file_with(children));
    rig.reload.begin([this](const Reload::Result& got) { results.push_back(got); }, {reset, confirm});
  }
  void reload(const std::string& children, std::optional<supervision::Duration> confirm) {
    begin(children, confirm);
    rig.settle();
  }
  void look_after(std::chrono::seconds time) {
    rig.tick(time);
    rig.reload.look_at_the_clock();
    rig.settle();
  }
  // One that is to be confirmed within 60 seconds, and while it is not, one that is under way.
  void reload_and_begin_a_slow_one() {
    reload(process_entry("web"), 60s);
    rig.system.conduct("root/slow", Conduct::is_silent);
    reload(process_entry("slow", kNotifies), std::nullopt);
  }
  [[nodiscard]] Words last_errors() { return rig.reload.last()["errors"].get<Words>(); }
};

TEST_CASE("a reload that is not confirmed is undone, and the file stays as it is") {
  Fixture f;
  f.reload(process_entry("web"), 60s);
  REQUIRE(f.results.size() == 1);
  CHECK(f.results[0].confirm_seconds == 60);
  CHECK(f.rig.is_running("root/web"));
  f.look_after(59s);
  CHECK(f.rig.reload.seconds_to_confirm() == 1);
  CHECK(f.rig.reload.diff("").confirm_seconds == 1);
  f.look_after(1s);
  CHECK(f.rig.is_running("root/db"));
  CHECK_FALSE(f.rig.engine.has("root/web"));
  CHECK_FALSE(f.rig.reload.unconfirmed());
  CHECK(f.rig.count("reload_unconfirmed") == 1);
  CHECK(f.rig.count("reload_expired") == 1);
  CHECK(f.rig.count("reload_done") == 2);
  CHECK(f.last_errors() == Words{kNotConfirmed});
}

TEST_CASE("after a return, the difference from the file says so until a reload takes effect") {
  Fixture f;
  f.reload(process_entry("web"), 60s);
  CHECK_FALSE(f.rig.reload.diff("").went_back);
  f.look_after(60s);
  const Reload::Result diff = f.rig.reload.diff("");
  CHECK(diff.went_back);
  CHECK(diff.plan.changes.size() == 2);
  f.reload(R"({"id":"db","type":"nonsense"})", std::nullopt);
  f.rig.file.write(file_with(process_entry("web")));
  CHECK(f.rig.reload.diff("").went_back);
  f.reload(process_entry("web"), std::nullopt);
  CHECK(f.rig.is_running("root/web"));
  CHECK_FALSE(f.rig.reload.diff("").went_back);
  CHECK(f.rig.reload.last()["ok"] == true);
}

TEST_CASE("a confirmed reload stays") {
  Fixture f;
  CHECK(f.rig.reload.confirm() == Answer::nothing_waits);
  f.reload(process_entry("web"), 60s);
  CHECK(f.rig.reload.confirm() == Answer::confirmed);
  CHECK(f.rig.reload.confirm() == Answer::nothing_waits);
  f.look_after(60s);
  CHECK(f.rig.is_running("root/web"));
  CHECK(f.rig.count("reload_confirmed") == 1);
  CHECK(f.rig.count("reload_expired") == 0);
}

TEST_CASE("a reload that is refused, or changes nothing, has nothing to confirm") {
  Fixture f;
  f.reload(R"({"id":"db","type":"nonsense"})", 60s);
  CHECK_FALSE(f.rig.reload.unconfirmed());
  f.reload(process_entry("db"), 60s);
  CHECK_FALSE(f.rig.reload.unconfirmed());
  CHECK_FALSE(f.results.back().confirm_seconds);
  f.rig.system.conduct("root/web", Conduct::dies);
  f.reload(process_entry("web", kNotifies), 60s);
  CHECK_FALSE(f.results.back().problems.empty());
  CHECK_FALSE(f.rig.reload.unconfirmed());
  f.reload(process_entry("shop"), std::nullopt);  // the limit of a refused reload is not that of the next
  CHECK_FALSE(f.rig.reload.unconfirmed());
}

TEST_CASE("a second reload goes back to the configuration before the first one") {
  Fixture f;
  f.reload(process_entry("web"), 60s);
  f.reload(process_entry("shop"), std::nullopt);
  CHECK(f.results.back().confirm_seconds == 60);
  f.look_after(60s);
  CHECK(f.rig.is_running("root/db"));
  CHECK_FALSE(f.rig.engine.has("root/shop"));
}

TEST_CASE("a second reload that is refused changes nothing about the first one") {
  Fixture f;
  f.reload(process_entry("web"), 60s);
  f.reload(R"({"id":"db","type":"nonsense"})", 1s);
  CHECK(f.rig.is_running("root/web"));
  CHECK(f.rig.reload.unconfirmed()->limit == 60s);
}

TEST_CASE("the file before, reloaded by hand, leaves nothing to confirm") {
  Fixture f;
  f.reload(process_entry("web"), 60s);
  f.reload(process_entry("db"), std::nullopt);
  CHECK_FALSE(f.rig.reload.unconfirmed());
  CHECK(f.rig.count("reload_confirmed") == 1);
  f.look_after(60s);
  CHECK(f.rig.count("reload_expired") == 0);
  CHECK_FALSE(f.rig.reload.diff("").went_back);
}

TEST_CASE("a return waits for the reload that is under way, whose client learns of it") {
  Fixture f;
  f.reload_and_begin_a_slow_one();
  CHECK(f.rig.reload.under_way());
  f.rig.time += 60s;
  f.rig.reload.look_at_the_clock();
  f.rig.settle();
  CHECK(f.rig.is_running("root/web"));
  f.rig.end("root/slow");
  CHECK(f.rig.is_running("root/db"));
  CHECK_FALSE(f.rig.engine.has("root/web"));
  CHECK_FALSE(f.rig.reload.under_way());
  CHECK(f.results.size() == 2);
}

TEST_CASE("a reload that takes effect when the time is over is answered with what follows") {
  Fixture f;
  f.reload_and_begin_a_slow_one();
  f.rig.time += 60s;
  f.rig.reload.look_at_the_clock();
  CHECK(::write(f.rig.system.at("root/slow").notify.get(), "\n", 1) == 1);
  f.rig.settle();
  REQUIRE(f.results.size() == 2);
  CHECK(f.results[1].problems == Words{"not confirmed in time; going back to the configuration before"});
  CHECK(f.rig.is_running("root/db"));
}

TEST_CASE("a reload that gives way to a return begins again after it") {
  Fixture f(process_entry("db") + "," + process_entry("ssh"));
  f.rig.system.at("root/db").obeys = false;
  f.reload(process_entry("ssh"), 60s);
  f.begin(listener_entry("db"), std::nullopt);  // waits for the end of the process
  f.rig.settle();
  f.rig.time += 60s;
  f.rig.reload.look_at_the_clock();
  f.rig.settle();
  CHECK(f.results.size() == 1);
  f.rig.end("root/db");
  REQUIRE(f.results.size() == 2);
  CHECK(f.results[1].problems.empty());
  CHECK(f.rig.listeners.at("root/db") != nullptr);
  CHECK(f.rig.count("reload_expired") == 1);
}

TEST_CASE("a reload whose time to confirm ends before it is complete is answered with that") {
  Fixture f(process_entry("db"));
  f.rig.system.at("root/db").obeys = false;
  f.begin(listener_entry("db"), 1s);  // another type by this name waits for the end of the process
  f.rig.settle();
  REQUIRE(f.rig.reload.under_way());
  CHECK(f.rig.reload.unconfirmed());
  f.rig.time += 2s;
  f.rig.reload.look_at_the_clock();
  f.rig.settle();
  CHECK(f.results.empty());  // what comes back waits for the end of the process too
  f.rig.end("root/db");
  REQUIRE(f.results.size() == 1);
  CHECK(f.results[0].problems == Words{kNotConfirmed});
  CHECK_FALSE(f.rig.reload.unconfirmed());
  CHECK(f.rig.is_running("root/db"));
}

TEST_CASE("what is asked for during a return is done after it") {
  Fixture f(process_entry("db"));
  f.reload(process_entry("web"), 60s);
  f.rig.system.conduct("root/db", Conduct::is_silent);
  f.rig.file.write(file_with(process_entry("web")));
  f.rig.time += 60s;
  f.rig.reload.look_at_the_clock();
  CHECK(f.rig.reload.confirm() == Answer::too_late);
  f.begin(process_entry("web"), std::nullopt);
  f.rig.settle();
  CHECK(f.rig.is_running("root/web"));
  CHECK(f.rig.count("reload_done") == 3);
  CHECK_FALSE(f.rig.reload.unconfirmed());
  CHECK_FALSE(f.rig.reload.diff("").went_back);
}

TEST_CASE("a return that waits for the end of a process is not given up for another reload") {
  Fixture f(process_entry("db") + "," + process_entry("ssh"));
  f.rig.system.at("root/db").obeys = false;
  f.reload(process_entry("ssh"), 60s);
  f.rig.time += 60s;
  f.rig.reload.look_at_the_clock();
  f.rig.settle();
  f.begin(process_entry("web"), std::nullopt);
  f.rig.settle();
  CHECK(f.rig.reload.under_way());
  CHECK(f.rig.count("reload_rejected") == 0);
  f.rig.end("root/db");
  CHECK(f.rig.count("reload_rejected") == 0);
  CHECK(f.rig.count("reload_done") == 3);
  CHECK(f.rig.is_running("root/web"));
  CHECK(f.results.back().problems.empty());
}

TEST_CASE("a child that no longer starts does not keep the others from coming back") {
  Fixture f(process_entry("db", kNotifies) + "," + process_entry("ssh"));
  f.reload(process_entry("web"), 60s);
  f.rig.system.conduct("root/db", Conduct::dies);
  f.look_after(60s);
  CHECK(f.rig.is_running("root/ssh"));
  CHECK_FALSE(f.rig.engine.has("root/web"));
  CHECK_FALSE(f.rig.engine.has("root/db"));
  CHECK_FALSE(f.rig.reload.unconfirmed());
  CHECK_FALSE(f.rig.reload.under_way());
  CHECK(f.last_errors().size() >= 2);
}

TEST_CASE("a return that fails is tried again") {
  Fixture f(program_entry("db", "/bin/true"));
  f.reload(program_entry("db", "/bin/false"), 60s);
  f.rig.system.conduct("root/db", Conduct::dies);
  f.look_after(60s);
  REQUIRE(f.rig.reload.unconfirmed());
  CHECK(f.rig.count("reload_rejected") == 1);
  CHECK(f.rig.reload.seconds_to_confirm() > 0);
  f.rig.system.conduct("root/db", Conduct::serves);
  f.look_after(kReturnAgain);
  CHECK(f.rig.is_running("root/db"));
  CHECK_FALSE(f.rig.reload.unconfirmed());
  CHECK(f.rig.system.at("root/db").request.argv.front() == "/bin/true");
}

TEST_CASE("what operators have stopped stays so when the configuration before comes back") {
  Fixture f(process_entry("db") + "," + process_entry("web"));
  procedure::Outcome outcome;
  int answers = 0;
  f.reload(program_entry("db", "/bin/false"), 60s);
  f.rig.operations.stop("root/db", f.rig.keep(outcome, answers));
  f.rig.settle();
  f.look_after(60s);
  CHECK(f.rig.state("root/db") == supervision::NodeState::stopped);
  CHECK(f.rig.is_running("root/web"));
}

TEST_CASE("nothing goes back once the daemon stops") {
  Fixture f;
  f.reload(process_entry("web"), 60s);
  f.rig.reload.daemon_stops();
  CHECK_FALSE(f.rig.reload.unconfirmed());
  CHECK(f.rig.reload.confirm() == Answer::nothing_waits);
  f.look_after(60s);
  CHECK(f.rig.count("reload_expired") == 0);
}

TEST_CASE("another program waits for the confirmation too") {
  Fixture f;
  f.reload(process_entry("web"), 60s);
  const auto waiting = f.rig.reload.unconfirmed();
  CHECK(f.rig.reload.confirm() == Answer::confirmed);
  f.rig.reload.resume("{}", waiting);
  f.look_after(60s);
  CHECK(f.rig.is_running("root/db"));
}

}  // namespace
}  // namespace bulkhead::reload
