#include "worker/ipc/table.h"

#include <sys/mman.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <random>
#include <vector>

using namespace bulkhead::ipc;
namespace sys = bulkhead::sys;

namespace {

struct Fixture {
  explicit Fixture(std::uint32_t capacity, std::uint32_t rate_count = 0, std::int64_t rate_per_ns = 0) {
    register_robust_list();
    auto memfd = Table::create({capacity, rate_count, rate_per_ns});
    REQUIRE(memfd);
    fd = std::move(*memfd);
    auto mapped = Table::map(fd.get());
    REQUIRE(mapped);
    table = std::move(*mapped);
  }
  std::uint32_t claim(std::uint64_t owner = 1, std::uint32_t worker = 0) {
    return table.claim({owner, worker, 0}).slot;
  }
  sys::Fd fd;
  Table table;
};

}  // namespace

TEST_CASE("Slots are given out up to the limit, and the next freed one wakes a waiting worker") {
  Fixture f(2);
  const auto first = f.claim(1, 0);
  const auto second = f.claim(1, 0);
  CHECK(first != second);
  CHECK(f.claim(1, 0) == kNoSlot);
  CHECK(f.table.somebody_waits());
  CHECK(f.table.release(first));
  CHECK_FALSE(f.table.somebody_waits());
  CHECK_FALSE(f.table.release(second));
  CHECK(f.table.counts().used == 0);
  CHECK(f.table.consistent());
}

TEST_CASE("Counts follow a connection from claim to end") {
  Fixture f(4);
  const auto slot = f.claim(7, 3);
  CHECK(f.table.counts().used == 1);
  CHECK(f.table.counts().serving == 0);
  f.table.serve(slot);
  CHECK(f.table.counts().serving == 1);
  const auto use = f.table.slot(slot).use;
  (void)f.table.end(slot, true);
  CHECK(f.table.counts().serving == 0);
  CHECK(f.table.counts().used == 0);
  CHECK(f.table.counts().completed == 1);
  CHECK(f.table.counts().crashed == 1);
  CHECK(f.table.slot(slot).use == use + 1);
  CHECK(f.table.consistent());
}

TEST_CASE("A group that outlives its connection keeps the slot, but the connection has ended") {
  Fixture f(1);
  const auto slot = f.claim(7, 0);
  f.table.serve(slot);
  f.table.linger(slot, false, 99);
  CHECK(f.table.counts().completed == 1);
  CHECK(f.table.counts().serving == 0);
  CHECK(f.claim(7, 0) == kNoSlot);
  CHECK(f.table.finish(slot));
  CHECK(f.claim(7, 0) == slot);
  CHECK(f.table.consistent());
}

TEST_CASE("A connection whose process was never started is not counted") {
  Fixture f(1);
  const auto slot = f.claim(7, 0);
  f.table.serve(slot);
  (void)f.table.release(slot);
  const Counts counts = f.table.counts();
  CHECK(counts.completed == 0);
  CHECK(counts.serving == 0);
  CHECK(counts.used == 0);
}

TEST_CASE("Refusals are counted by reason") {
  Fixture f(1);
  f.table.refuse(Refusal::handler_start);
  f.table.refuse(Refusal::handler_start);
  CHECK(f.table.counts().refused[static_cast<std::size_t>(Refusal::handler_start)] == 2);
  CHECK(std::string(refusal_text(Refusal::max_connections)) == "max_connections");
}

TEST_CASE("The master's forms do nothing while a worker holds the lock") {
  Fixture f(1);
  const auto slot = f.claim(7, 0);
  f.table.serve(slot);
  CHECK(f.table.try_end(slot, false).has_value());
  CHECK(f.table.counts().completed == 1);
}

TEST_CASE("A long random history stays consistent") {
  Fixture f(32);
  std::mt19937 random(5);
  std::vector<std::uint32_t> claimed;
  std::vector<std::uint32_t> serving;
  const auto take = [&random](std::vector<std::uint32_t>& from) {
    const std::size_t at = random() % from.size();
    const auto slot = from[at];
    from.erase(from.begin() + static_cast<std::ptrdiff_t>(at));
    return slot;
  };
  std::uint64_t ended = 0;
  for (int round = 0; round < 20'000; ++round) {
    switch (random() % 4) {
      case 0:
        if (const auto slot = f.claim(1, 0); slot != kNoSlot) claimed.push_back(slot);
        break;
      case 1:
        if (!claimed.empty()) {
          serving.push_back(take(claimed));
          f.table.serve(serving.back());
        }
        break;
      case 2:
        if (!claimed.empty()) (void)f.table.release(take(claimed));
        break;
      default:
        if (!serving.empty()) {
          (void)f.table.end(take(serving), false);
          ++ended;
        }
    }
    REQUIRE(f.table.counts().serving == serving.size());
    REQUIRE(f.table.counts().used == serving.size() + claimed.size());
    REQUIRE(f.table.counts().completed == ended);
  }
  CHECK(f.table.consistent());
}

TEST_CASE("A connection's id is unique to its use, listener and slot") {
  const auto id = connection_id(0xabcdef01, 4095, 999'999);
  const ConnectionName name = connection_name(id);
  CHECK(name.use == 0xabcdef01);
  CHECK(name.listener == 4095);
  CHECK(name.slot == 999'999);
}

TEST_CASE("Memory that is not a table is refused") {
  sys::Fd null(memfd_create("test", MFD_CLOEXEC));
  CHECK_FALSE(Table::map(null.get()));
  REQUIRE(ftruncate(null.get(), 1 << 20) == 0);
  CHECK_FALSE(Table::map(null.get()));
}

namespace {

constexpr std::int64_t kStart = 1'000'000'000'000;

// Claims and, at once, begins a connection. The refusal, or count_ when there was none.
Refusal begin(Table& table, std::int64_t now_ns) {
  const Grant grant = table.claim({1, 0, now_ns});
  if (grant.slot == kNoSlot) return grant.refusal;
  table.slot(grant.slot).started_ns = now_ns;
  table.serve(grant.slot);
  (void)table.end(grant.slot, false);
  return Refusal::count_;
}

}  // namespace

TEST_CASE("A rate admits its count, reports when it has room again, and recovers") {
  Fixture f(10, 3, 1000);
  for (int i = 0; i < 3; ++i) CHECK(begin(f.table, kStart + i) == Refusal::count_);
  const Grant refused = f.table.claim({1, 0, kStart + 10});
  CHECK(refused.slot == kNoSlot);
  CHECK(refused.refusal == Refusal::rate);
  CHECK(refused.until_ns == kStart + 1000);
  CHECK(begin(f.table, kStart + 999) == Refusal::rate);
  CHECK(begin(f.table, kStart + 1000) == Refusal::count_);
  CHECK(begin(f.table, kStart + 1000) == Refusal::rate);
  CHECK(begin(f.table, kStart + 1001) == Refusal::count_);
}

TEST_CASE("A rate admits no more than its count in any window of its length") {
  Fixture f(10, 7, 1000);
  std::mt19937 random(3);
  std::vector<std::int64_t> begun;
  std::int64_t now = kStart;
  for (int i = 0; i < 20'000; ++i) {
    now += static_cast<std::int64_t>(random() % 100);
    if (begin(f.table, now) == Refusal::count_) begun.push_back(now);
  }
  CHECK(begun.size() >= static_cast<std::size_t>((now - kStart) / 1000 * 6));
  for (std::size_t i = 7; i < begun.size(); ++i) REQUIRE(begun[i] - begun[i - 7] >= 1000);
}

TEST_CASE("A claim holds its part of the rate, and gives it back if it does not become a connection") {
  Fixture f(10, 2, 1'000'000'000);
  const auto first = f.table.claim({1, 0, kStart}).slot;
  const auto second = f.table.claim({1, 1, kStart}).slot;
  const Grant third = f.table.claim({1, 2, kStart});
  CHECK(third.refusal == Refusal::rate);
  CHECK(third.until_ns < kStart + 10'000'000);  // soon: it may come free
  (void)f.table.release(first);
  (void)f.table.release(second);
  CHECK(begin(f.table, kStart) == Refusal::count_);
  CHECK(begin(f.table, kStart) == Refusal::count_);
  CHECK(begin(f.table, kStart) == Refusal::rate);
  CHECK(f.table.consistent());
}

TEST_CASE("An admitted connection keeps its slot") {
  Fixture f(1);
  const auto slot = f.claim();
  CHECK(f.table.admit({1, 0, 0}, slot).slot == slot);
  CHECK(f.table.admit({1, 0, 0}, kNoSlot).refusal == Refusal::max_connections);
  CHECK(f.table.somebody_waits());
}
