// The state that one program hands to another: no part is lost, and a damaged state is refused.
#include "master/upgrade/handover.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <random>
#include <set>

#include "worker/admission/crc32c.h"

namespace bulkhead::upgrade {
namespace {

using nlohmann::ordered_json;
using supervision::Duration;
using supervision::Instant;

// Something in every list and every optional.
Handover sample() {
  Handover out;
  out.version = "0.1.0";
  out.pid = 812;
  out.program = "/usr/sbin/bulkheadd";
  out.config = "{\n\"a\": \"b\\u0000\"}";
  out.started = Instant(Duration(123456789));
  out.last_reload = R"({"ok":true})";
  out.unconfirmed = UnconfirmedHandover{
      "{}", Duration(60), Instant(Duration(7)), {{"root/db", "bob", 5, 6, {7}}}, {{"root/db", {{"A", "b"}}}}};
  out.reload_wishes = WishesHandover{true, Duration(30)};
  out.last_upgrade = "null";
  out.own_program = 30;
  out.inherited.push_back({3, "http", 31});
  out.control = {32, "/run/x.sock", 1, 2, {{33, "7", "stop", "{}", "x"}}};
  out.added.push_back({"root", "{}", "f", "/"});
  out.overrides = {{"root/a"}, {"root/b"}, {"root/c"}, {{"root/echo", 3}}};
  out.leaving.push_back({"root", "{}", "g", "/"});
  out.operations.push_back({procedure::Verb::restart, "root/db", true, false, {"root", "{}", "h", "/"}});
  out.endings.push_back({"root/echo", net::EndPhase::draining, Instant(Duration(4)), Duration(5)});
  out.identities.push_back({"root/db", "alice", 1000, 1001, {1001, 2000}});
  out.pools.push_back({100, 200, 150});
  supervision::SupervisorRecord supervisor;
  supervisor.restarts = {Instant(Duration(-5)), Instant(Duration(5))};
  supervisor.children = {2};
  supervisor.mailbox = {{0, 2, 3, supervision::ExitReason::retired}};
  supervisor.jobs = {{1, 2, Duration(9), supervision::Cause::start_failed, {2}, {2}, 1, 0, {2}, true}};
  supervision::NodeRecord root;
  root.id = 1;
  root.name = "root";
  root.type = supervision::NodeType::supervisor;
  root.ready_for = Duration(7);
  root.due = root.deadline = root.ready_at = Instant(Duration(8));
  root.blame = {"because"};
  root.supervisor = supervisor;
  out.tree = {2, 3, 0xffffffffffffffffULL, {root}};
  out.listeners.push_back({"root/echo",
                           0,
                           true,
                           false,
                           1,
                           34,
                           35,
                           41,
                           42,
                           65536,
                           0,
                           1024,
                           512,
                           3,
                           1000,
                           {7, 1},
                           {{2, 99}},
                           {{0, "127.0.0.1:1", 36, "/x", 1, 2, -1}},
                           {{1, {"echo"}}}});
  process::WorkerHandover worker;
  worker.path = "root/echo/1";
  worker.start_deadline = Instant(Duration(1));
  worker.channel = 37;
  out.workers.push_back(worker);
  process::ProcessHandover child;
  child.path = "root/db";
  child.group = {true, true, Instant(Duration(5)), Instant(Duration(6))};
  child.output = {{38, {104, 0xff}, false, "/var/log/app", 44}, {-1, {}, true, "", -1}, "a line\n"};
  out.processes.push_back(child);
  out.remains.push_back({"root/old", Instant(Duration(4)), {}});
  out.errors.push_back({"root/echo", 1, 39, 40});
  out.adoption = {{{100, "root/echo", 3, 7, 65534, true, 1, 55}},
                  {{"root/echo", 4, 0x900000004, 102, std::nullopt, 77}},
                  {{101, 256, 66}}};
  out.forgive.push_back({"root/echo", 2, 24, {192, 0, 2}});
  out.runs.push_back({1, 812, 15, true, false, 0, "so"});
  out.last_seq = 2;
  out.descriptors.push_back({30, "file 1 2"});
  out.events = {{1, "child_started", "root/echo/1", R"({"seq":1})"}, {2, "child_ready", "root/echo/1", R"({"seq":2})"}};
  return out;
}

std::string with_head(const std::string& body, int format = 1, int reader = 1) {
  char sum[16];
  std::snprintf(sum, sizeof sum, "%08x", admission::Crc32c().add(body).value());
  return "bulkhead-state " + std::to_string(format) + " " + std::to_string(reader) + " " + std::to_string(body.size()) +
         " " + sum + "\n" + body;
}

std::string body_of(const std::string& text) {
  return text.substr(text.find('\n') + 1);
}

std::string problem_of(const std::string& text) {
  Handover out;
  return decode(text, out);
}

TEST_CASE("everything that is written is read back") {
  Handover before = sample();
  const std::string text = encode(before);
  Handover after;
  REQUIRE(decode(text, after) == "");
  CHECK(encode(after) == text);
  CHECK(after.events.size() == 2);
  CHECK(after.events[1].json == R"({"seq":2})");
  CHECK(after.tree.jitter == 0xffffffffffffffffULL);
}

TEST_CASE("exactly the existing descriptors are named") {
  Handover handover = sample();
  std::set<int> seen;
  for_each_descriptor(handover, [&seen](int& fd) { seen.insert(fd); });
  CHECK(seen == std::set<int>{30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 44});
}

TEST_CASE("a later format is read if it declares itself readable") {
  Handover handover = sample();
  const std::string body = body_of(encode(handover));
  ordered_json object = ordered_json::parse(body.substr(0, body.find('\n')));
  object["of_a_later_version"] = {{"x", 1}};
  const std::string later = object.dump() + body.substr(body.find('\n'));
  CHECK(problem_of(with_head(later, 7, 1)) == "");
  CHECK(problem_of(with_head(later, 7, 2)) == "the state has format 7, and this program reads up to 1");
}

// Each member of each object in turn, at any depth.
void for_each_member(const ordered_json& value, const ordered_json::json_pointer& at,
                     const std::function<void(const ordered_json::json_pointer&)>& visit) {
  if (value.is_object()) {
    for (const auto& [name, member] : value.items()) {
      visit(at / name);
      for_each_member(member, at / name, visit);
    }
  } else if (value.is_array()) {
    for (std::size_t i = 0; i < value.size(); ++i) for_each_member(value[i], at / i, visit);
  }
}

TEST_CASE("a member that is missing or has the wrong type is reported") {
  Handover handover = sample();
  const std::string body = body_of(encode(handover));
  const std::string events = body.substr(body.find('\n'));
  const ordered_json good = ordered_json::parse(body.substr(0, body.find('\n')));
  std::size_t count = 0;
  for_each_member(good, ordered_json::json_pointer(), [&](const ordered_json::json_pointer& at) {
    INFO(at.to_string());
    ++count;
    if (good[at.parent_pointer()].is_object()) {
      ordered_json missing = good;
      missing[at.parent_pointer()].erase(at.back());
      CHECK(problem_of(with_head(missing.dump() + events)) == "the state: " + at.to_string() + " is missing");
    }
    ordered_json wrong = good;
    wrong[at] = wrong[at].is_string() ? ordered_json(1.5) : ordered_json("a string");
    CHECK(problem_of(with_head(wrong.dump() + events)).find(at.to_string() + " is not ") != std::string::npos);
    if (good[at].is_number()) {
      wrong[at] = 1e300;
      CHECK(problem_of(with_head(wrong.dump() + events)) != "");
    }
  });
  CHECK(count > 120);
}

TEST_CASE("enumerators and numbers outside their ranges are refused") {
  Handover handover = sample();
  const std::string body = body_of(encode(handover));
  const std::string events = body.substr(body.find('\n'));
  const ordered_json good = ordered_json::parse(body.substr(0, body.find('\n')));
  for (const auto& [pointer, value] :
       std::initializer_list<std::pair<const char*, ordered_json>>{{"/tree/nodes/0/type", 4},
                                                                   {"/tree/nodes/0/state", 7},
                                                                   {"/tree/nodes/0/supervisor/jobs/0/cause", 5},
                                                                   {"/tree/nodes/0/id", -1},
                                                                   {"/tree/nodes/0/id", 4294967296},
                                                                   {"/pid", 2147483648}}) {
    ordered_json wrong = good;
    wrong[ordered_json::json_pointer(pointer)] = value;
    INFO(pointer);
    CHECK(problem_of(with_head(wrong.dump() + events)) != "");
  }
}

TEST_CASE("events must be in order and complete") {
  Handover handover = sample();
  const std::string body = body_of(encode(handover));
  const std::string object = body.substr(0, body.find('\n') + 1);
  for (const char* events : {"1 a b {}\n", "1 a b {}\n3 a b {}\n", "2 a b {}\n1 a b {}\n", "2 a b\n", "2\n",
                             "x a b {}\n", "2 a b {}", "3 a b {}\n"}) {
    INFO(events);
    CHECK(problem_of(with_head(object + events)) != "");
  }
  CHECK(problem_of(with_head(object)) == "");
}

TEST_CASE("a text that was changed anywhere is refused") {
  Handover handover = sample();
  const std::string good = encode(handover);
  for (std::size_t at = 0; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    // The format and its reader say only how new it is.
    const std::size_t numbers = std::string_view("bulkhead-state ").size();
    if (at != numbers && at != numbers + 2) CHECK(problem_of(bad) != "");
    CHECK(problem_of(good.substr(0, at)) != "");
  }
  CHECK(problem_of(good + "\n") != "");
}

TEST_CASE("the reader survives arbitrary bytes") {
  Handover handover = sample();
  const std::string body = body_of(encode(handover));
  std::mt19937 random(4711);
  for (int round = 0; round < 3000; ++round) {
    std::string bad = body;
    for (unsigned i = 0; i <= random() % 8; ++i) {
      const std::size_t at = random() % bad.size();
      if (random() % 3 == 0) {
        bad.erase(at, random() % 20);
      } else {
        bad[at] = static_cast<char>(random() % 3 == 0 ? static_cast<int>(random() % 256)
                                                      : "0123456789{}[]\",:-n"[random() % 19]);
      }
      if (bad.empty()) bad = "x";
    }
    (void)problem_of(with_head(bad));
  }
}

}  // namespace
}  // namespace bulkhead::upgrade
