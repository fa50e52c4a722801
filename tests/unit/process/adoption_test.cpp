// As many connections without a worker as a large table holds: whatever the master does for all of them is done in
// slices.
#include "master/process/adoption.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <set>
#include <utility>

#include "worker/ipc/table/table.h"

namespace bulkhead::process {
namespace {

constexpr std::uint32_t kMany = 90'000;
constexpr supervision::RunId kRun = 7;
constexpr pid_t kFirstPid = 10'000'000;  // above pid_max

struct Connections final : ChildSystem {
  bool signal(pid_t, int signal, bool) noexcept override {
    if (signal == SIGTERM) ++asked;
    return true;
  }
  bool is_child(pid_t) noexcept override { return true; }
  std::optional<std::uint32_t> real_user(pid_t child) noexcept override {
    (void)ChildSystem::real_user(getpid());  // takes as long
    return child == 0 ? 0U : 65'534U;
  }
  std::optional<sys::Ended> reap(pid_t, bool) noexcept override { return sys::Ended{}; }
  std::uint32_t asked = 0;
};

// Of the processor, whatever else the machine does.
double busy_ms() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

struct Fixture {
  Fixture() {
    ipc::register_robust_list();
    REQUIRE_FALSE(listener.open());
    ipc::Table table = map();
    for (std::uint32_t i = 0; i < kMany; ++i) {
      const std::uint32_t slot = table.claim({kRun, 0}).slot;
      table.slot(slot).pid = kFirstPid + static_cast<pid_t>(slot);
      table.serve(slot);
    }
  }
  [[nodiscard]] ipc::Table map() const {
    auto table = ipc::Table::map(listener.table_fd(), listener.table().room());
    REQUIRE(table);
    return std::move(*table);
  }
  static config::Listener large() {
    config::Listener config;
    config.max_connections = kMany;
    return config;
  }
  // Calls it until it says true; tells of the longest call. Returns how many there were.
  template <class Slice>
  static std::size_t in_slices(const char* what, Slice slice) {
    std::size_t count = 0;
    double longest = 0;
    for (bool done = false; !done; ++count) {
      const double began = busy_ms();
      done = slice();
      longest = std::max(longest, busy_ms() - began);
    }
    std::printf("%s: %zu slices, the longest %.1f ms\n", what, count, longest);
    return count;
  }

  net::InheritedSockets inherited;
  net::Listener listener{0, "root/echo", large(), inherited};
  Connections system;
  Adoption adoption{system, false, [](pid_t) { return false; }, [](const Adoption::Crash&) {}};
};

TEST_CASE("what the master does for many connections without a worker is done in slices") {
  Fixture f;
  Adoption::Sweep sweep;
  sweep.listener = &f.listener;
  sweep.run = kRun;
  sweep.user = 65'534;
  CHECK(Fixture::in_slices("sweep", [&] { return f.adoption.sweep(sweep); }) > 1);
  CHECK(f.adoption.count(f.listener) == kMany);

  CHECK(Fixture::in_slices("signals", [&, first = true]() mutable {
          if (std::exchange(first, false)) f.adoption.signal_all(f.listener, SIGTERM);
          return f.adoption.signal_some();
        }) > 1);
  CHECK(f.system.asked == kMany);
}

TEST_CASE("a table with many connections is recreated in slices, and those that end meanwhile are not forgotten") {
  Fixture f;
  Adoption::Sweep sweep;
  sweep.listener = &f.listener;
  sweep.run = kRun;
  while (!f.adoption.sweep(sweep)) continue;
  constexpr std::uint32_t kEnded[] = {0, 4711, kMany - 1};
  f.adoption.reap(kFirstPid + 3);  // before it begins
  bool first = true;
  CHECK(Fixture::in_slices("renewal", [&] {
          if (std::exchange(first, false)) {
            REQUIRE_FALSE(f.listener.begin_renewing(f.adoption.slots_of(f.listener)));
            for (const std::uint32_t slot : kEnded) f.adoption.reap(kFirstPid + static_cast<pid_t>(slot));
            return false;
          }
          auto done = f.listener.go_on_renewing();
          REQUIRE(done);
          return *done;
        }) > 1);
  CHECK(f.adoption.take_ordered() == std::set<net::Listener*>{&f.listener});
  CHECK(f.adoption.take_ordered().empty());
  ipc::Table table = f.map();
  table.repair(nullptr, 0);
  CHECK(table.counts().serving == kMany - 1);
  CHECK(table.counts().completed == 1);
  CHECK(table.slot(3).state == ipc::SlotState::free);
  for (const std::uint32_t slot : kEnded) {
    const auto wish = table.wish(slot);
    REQUIRE(wish);
    CHECK(table.collect(slot, *wish, {}, {}, 0).done);
  }
  CHECK_FALSE(table.wish(5));
  CHECK(table.counts().completed == 1 + std::size(kEnded));
  CHECK(table.consistent());
  const auto range = f.listener.to_collect();
  REQUIRE(range);
  f.listener.collected(*range);
  CHECK_FALSE(f.listener.to_collect());
}

}  // namespace
}  // namespace bulkhead::process
