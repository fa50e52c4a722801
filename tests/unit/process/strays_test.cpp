#include "master/process/strays.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <string>
#include <vector>

namespace bulkhead::process::testing {

namespace {

using Step = StraySearch::Step;
constexpr StraySearch::Instant kNow{};
constexpr pid_t kStray = 5'000'001;  // above pid_max, as all of these

struct Process {
  std::string title;
  std::uint64_t began = 1000;
  std::vector<ino_t> sockets{};
  pid_t parent = 0;  // 0: the master
  bool is_untouchable = false;
  bool has_ended = false;
};

class Host final : public ChildSystem {
 public:
  std::map<pid_t, Process> processes;
  std::vector<pid_t> killed;

  void end(pid_t pid) {
    processes.erase(pid);
    for (auto& [other, process] : processes) {
      if (process.parent == pid) process.parent = 0;
    }
  }
  bool signal(pid_t pid, int, bool group) noexcept override {
    CHECK_FALSE(group);
    if (processes.at(pid).is_untouchable) return false;
    killed.push_back(pid);
    return true;
  }
  bool is_child(pid_t pid) noexcept override { return processes.contains(pid) && processes.at(pid).parent == 0; }
  std::vector<pid_t> next_children(sys::ChildWalk&) noexcept override {
    std::vector<pid_t> out;
    for (const auto& [pid, process] : processes) {
      if (process.parent == 0) out.push_back(pid);
    }
    return out;
  }
  std::string title(pid_t pid) noexcept override { return processes.at(pid).title; }
  bool has_ended(pid_t pid) noexcept override { return processes.at(pid).has_ended; }
  std::optional<std::uint64_t> start_time(pid_t pid) noexcept override { return processes.at(pid).began; }
  bool holds_any(pid_t pid, std::span<const ino_t> sockets) noexcept override {
    return std::ranges::any_of(processes.at(pid).sockets,
                               [&](ino_t one) { return std::ranges::find(sockets, one) != sockets.end(); });
  }
};

struct Fixture {
  Host host;
  StraySearch search{kNow};
  std::vector<pid_t> known{};

  Fixture() { search.add({"root/echo/1", 1000, {7, 8}}); }
  // A slice is measured by the clock, so a busy machine needs more of them.
  Step step(StraySearch::Instant now = kNow) {
    Step out = slice(now);
    while (out == Step::again) out = slice(now);
    return out;
  }
  Step slice(StraySearch::Instant now = kNow) {
    return search.go_on(
        host, [this](pid_t pid) { return std::ranges::find(known, pid) != known.end(); }, now);
  }
  void reap(pid_t pid) {
    host.end(pid);
    search.reaped(pid);
  }
};

TEST_CASE("a worker that left nothing behind is over at once") {
  Fixture f;
  CHECK(f.step() == Step::over);
}

TEST_CASE("which children are strays of a worker that failed to start") {
  struct Row {
    const char* what;
    Process process;
    bool is_known;
    bool is_stray;
  };
  const std::string connection = "bulkheadd: connection 1 127.0.0.1 echo";
  const Row rows[] = {
      {"a fork of it", {starting_title()}, false, true},
      {"a fork of it that has closed its sockets", {starting_title(), 1005}, false, true},
      {"a worker that is starting too", {starting_title()}, true, false},
      {"a fork of an earlier worker", {starting_title(), 999}, false, false},
      {"a program that has its socket", {"sleep", 1001, {3, 8}}, false, true},
      {"a program that has its socket from before", {"sleep", 999, {3, 8}}, false, false},
      {"a process of the tree that has its socket", {"sleep", 1001, {8}}, true, false},
      {"what a process of the tree has left", {"sleep", 1001, {3}}, false, false},
      {"a connection of a worker that has just died", {connection, 1001, {8}}, false, false},
      {"a fork of a worker that was ready", {"bulkheadd: echo/2 [g1] 1/1024", 1001, {8}}, false, false},
      {"a zombie", {"", 1001, {8}, 0, false, true}, false, false},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    Fixture f;
    f.host.processes[kStray] = row.process;
    if (row.is_known) f.known.push_back(kStray);
    CHECK((f.step() == Step::waits) == row.is_stray);
    CHECK(f.host.killed.size() == (row.is_stray ? 1 : 0));
  }
}

TEST_CASE("a stray's own children are found once it has been reaped") {
  Fixture f;
  f.host.processes[kStray] = {starting_title()};
  f.host.processes[kStray + 1] = {starting_title(), 1002, {}, kStray};
  f.host.processes[kStray + 2] = {starting_title(), 1003, {}, kStray + 1};
  for (const pid_t pid : {kStray, kStray + 1, kStray + 2}) {
    CHECK(f.step() == Step::waits);
    CHECK(f.step() == Step::waits);
    CHECK(f.host.killed.back() == pid);
    f.reap(pid);
  }
  CHECK(f.step() == Step::over);
  CHECK(f.host.killed.size() == 3);
}

TEST_CASE("many children are looked at in slices") {
  Fixture f;
  constexpr pid_t kMany = 100'000;
  for (pid_t i = 0; i < kMany; ++i) f.host.processes[kStray + i] = {"sleep", 1001, {3}};
  f.host.processes[kStray + kMany] = {starting_title()};
  int slices = 1;
  Step step = f.slice();
  for (; step == Step::again; step = f.slice()) ++slices;
  CHECK(slices > 1);
  CHECK(step == Step::waits);
  CHECK(f.host.killed == std::vector<pid_t>{kStray + kMany});
}

TEST_CASE("a process without a title may be in the middle of an exec: it is looked at again for a moment") {
  Fixture f;
  f.host.processes[kStray] = {""};
  CHECK(f.step() == Step::waits);
  CHECK(f.search.deadline() == kNow + std::chrono::milliseconds(10));
  CHECK(f.step() == Step::waits);
  SECTION("and found") {
    f.host.processes[kStray] = {"sleep", 1000, {7}};
    CHECK(f.step(f.search.deadline()) == Step::waits);
    CHECK(f.host.killed == std::vector<pid_t>{kStray});
  }
  SECTION("but not for longer") {
    CHECK(f.step(kNow + std::chrono::milliseconds(200)) == Step::over);
    CHECK(f.host.killed.empty());
  }
  SECTION("nor if it has ended") {
    f.host.processes[kStray].has_ended = true;
    CHECK(f.step(f.search.deadline()) == Step::over);
  }
}

TEST_CASE("a stray that does not end is given up") {
  Fixture f;
  f.host.processes[kStray] = {starting_title()};
  CHECK(f.step() == Step::waits);
  CHECK(f.step(f.search.deadline() - std::chrono::nanoseconds(1)) == Step::waits);
  CHECK(f.step(f.search.deadline()) == Step::over);
}

TEST_CASE("a stray that cannot be killed is not waited for") {
  Fixture f;
  f.host.processes[kStray] = {starting_title()};
  f.host.processes[kStray].is_untouchable = true;
  CHECK(f.step() == Step::over);
}

TEST_CASE("a second worker that fails meanwhile has all children looked at again") {
  Fixture f;
  f.host.processes[kStray] = {starting_title()};
  CHECK(f.step() == Step::waits);
  f.search.add({"root/web/1", 900, {9}});
  f.host.processes[kStray + 1] = {"sleep", 950, {9}};
  f.reap(kStray);
  CHECK(f.step() == Step::waits);
  CHECK(f.host.killed.back() == kStray + 1);
  f.reap(kStray + 1);
  CHECK(f.step() == Step::over);
}

}  // namespace

}  // namespace bulkhead::process::testing
