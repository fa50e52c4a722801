#include "worker/ipc/table/source_table.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <vector>

#include "worker/ipc/table/table.h"
#include "worker/ipc/table_view.h"

using namespace bulkhead::ipc;
using namespace bulkhead::admission;
namespace sys = bulkhead::sys;

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kNow = 1'000 * kSecond;

struct Fixture {
  explicit Fixture(std::uint32_t capacity, SourceRoom room = {}) {
    register_robust_list();
    const Shape shape{capacity, 0, 0};
    auto memfd = create_table(shape, room);
    REQUIRE(memfd);
    fd = std::move(*memfd);
    auto mapped = Table::map(fd.get(), room_of(shape, room));
    REQUIRE(mapped);
    table = std::move(*mapped);
    rules.penalties.mode = PenaltyMode::enforce;
    rules.penalties.min_ns = 15 * kSecond;
    rules.penalties.max_ns = 600 * kSecond;
  }

  // A connection from source `number`, or kNoSlot when it is refused.
  std::uint32_t connect(const SourceKey& key, std::int64_t now = kNow) {
    const Grant grant = ask(key, rules.max_connections, false, now);
    verdict = grant.source.verdict;
    if (grant.slot == kNoSlot) return kNoSlot;
    Peer& peer = table.slot(grant.slot).peer;
    peer.family = key.family;
    std::copy_n(key.address, sizeof key.address, peer.address);
    table.serve(grant.slot);
    return grant.slot;
  }
  Grant ask(const SourceKey& key, std::uint32_t max_connections, bool exempt, std::int64_t now = kNow) {
    return table.admit({1, 0, now, false, {key, &rules, max_connections, exempt}}, kNoSlot);
  }
  [[nodiscard]] TableView view() const {
    auto out = TableView::map(fd.get(), table.room_of_it());
    REQUIRE(out);
    return std::move(*out);
  }
  void end(std::uint32_t slot) { (void)table.end(slot, EndCount::normal); }
  Penalised crash(const SourceKey& key, std::int64_t seconds, std::int64_t now = kNow) {
    const std::uint32_t slot = connect(key, now);
    REQUIRE(slot != kNoSlot);
    const auto out = table.penalise(slot, {Offence::crash, seconds * kSecond}, rules.penalties, now);
    end(slot);
    return out;
  }
  std::size_t penalised(std::int64_t now = kNow) const {
    std::size_t count = 0;
    view().penalties(now, [&count](const PenaltyRecord&) { ++count; });
    return count;
  }

  sys::Fd fd;
  Table table;
  SourceRules rules;
  SourceVerdict verdict{};
};

SourceKey source(std::uint32_t number, std::uint16_t family = AF_INET) {
  Peer peer;
  peer.family = family;
  for (std::size_t i = 0; i < 4; ++i) peer.address[i] = static_cast<std::uint8_t>(number >> (24 - 8 * i));
  return source_of(peer, 32, 64);
}

}  // namespace

TEST_CASE("each source gets as many connections as the limit") {
  Fixture f(64);
  f.rules.max_connections = 3;
  for (std::uint32_t from = 1; from <= 8; ++from) {
    std::vector<std::uint32_t> slots;
    for (int i = 0; i < 3; ++i) slots.push_back(f.connect(source(from)));
    CHECK(std::count(slots.begin(), slots.end(), kNoSlot) == 0);
    CHECK(f.connect(source(from)) == kNoSlot);
    CHECK(f.verdict == SourceVerdict::per_source);
    f.end(slots[1]);
    CHECK(f.connect(source(from)) != kNoSlot);
    CHECK(f.connect(source(from)) == kNoSlot);
  }
  CHECK(f.table.consistent());
}

TEST_CASE("connections that began without a limit count as soon as somebody asks") {
  Fixture f(16);
  f.rules.max_connections = 3;
  const auto unasked = [&f](std::uint32_t number) {
    const std::uint32_t slot = f.table.claim({1, 0}).slot;
    Peer& peer = f.table.slot(slot).peer;
    peer.family = AF_INET;
    peer.address[2] = 1;
    peer.address[3] = static_cast<std::uint8_t>(number);
    f.table.serve(slot);
    return slot;
  };
  const SourceKey first = source(0x101);
  const std::uint32_t slot = unasked(1);
  f.table.linger(unasked(1), EndCount::normal, 0);
  (void)unasked(2);
  const std::uint32_t not_yet_a_client = f.table.claim({1, 0}).slot;
  f.table.repair(nullptr, kNow);
  CHECK(f.connect(first) != kNoSlot);  // nobody has counted them
  for (int i = 0; i < 2; ++i) {
    f.table.repair(&f.rules, kNow);  // the second one counts nothing twice
    CHECK(f.table.consistent());
    CHECK(f.connect(first) == kNoSlot);
    CHECK(f.connect(source(0x102)) != kNoSlot);
  }
  f.end(slot);
  CHECK(f.connect(first) != kNoSlot);
  (void)f.table.release(not_yet_a_client);
  SECTION("and again if a source is cut to another prefix") {
    f.rules.prefix4 = 24;
    f.rules.max_connections = 7;
    f.table.repair(&f.rules, kNow);
    CHECK(f.table.consistent());
    Peer peer = f.table.slot(slot).peer;
    CHECK(f.connect(source_of(peer, 24, 64)) != kNoSlot);
    CHECK(f.connect(source_of(peer, 24, 64)) == kNoSlot);
  }
}

TEST_CASE("a lingering group counts for its source until it is gone, a withdrawn connection does not") {
  Fixture f(4);
  f.rules.max_connections = 1;
  const auto slot = f.connect(source(1));
  f.table.linger(slot, EndCount::normal, 0);
  CHECK(f.connect(source(1)) == kNoSlot);
  (void)f.table.finish(slot);
  const auto next = f.connect(source(1));
  CHECK(next != kNoSlot);
  (void)f.table.release(next);
  CHECK(f.connect(source(1)) != kNoSlot);
  CHECK(f.table.consistent());
}

TEST_CASE("a source without connection, penalty or rate is removed at once") {
  Fixture f(8);
  for (std::uint32_t from = 1; from <= 10'000; ++from) f.end(f.connect(source(from)));
  CHECK(f.table.sources().touched() == 1);
  CHECK(f.table.consistent());
}

TEST_CASE("among 65,536 sources of each family one is found in a step or two", "[property]") {
  Fixture f(8);
  f.rules.rate = {1, 3600 * kSecond};
  constexpr std::uint32_t kKnown = 65'536;
  for (std::uint32_t from = 0; from < kKnown; ++from) {
    f.end(f.connect(source(0x0a000000 + from)));
    f.end(f.connect(source(0x20010000 + from, AF_INET6)));
  }
  CHECK(f.table.sources().touched() == 2 * kKnown);
  std::uint64_t probes = 0;
  std::uint32_t most = 0;
  for (std::uint32_t from = 0; from < kKnown; ++from) {
    for (const SourceKey& key : {source(0x0a000000 + from), source(0x20010000 + from, AF_INET6)}) {
      const std::uint32_t count = f.table.sources().probes(key);
      probes += count;
      most = std::max(most, count);
    }
  }
  CHECK(probes < 2 * kKnown * 2);
  CHECK(most < 12);
  CHECK(f.connect(source(0x0a000000)) == kNoSlot);  // and it is known
  CHECK(f.verdict == SourceVerdict::rate_per_source);
  CHECK(f.table.consistent());
}

// The memory that the table has really got, not its size.
std::int64_t memory_of(const Fixture& f) {
  struct stat status {};
  REQUIRE(fstat(f.fd.get(), &status) == 0);
  return status.st_blocks * 512;
}

TEST_CASE("a listener uses memory for sources only if it limits them, in proportion to their number") {
  Fixture f(1024);
  const auto at_once = [&f] {
    std::vector<std::uint32_t> slots;
    for (int i = 0; i < 1000; ++i) slots.push_back(f.table.claim({1, 0, kNow}).slot);
    for (const std::uint32_t slot : slots) (void)f.table.release(slot);
  };
  at_once();
  const std::int64_t plain = memory_of(f);
  at_once();
  REQUIRE(f.table.consistent());
  CHECK(memory_of(f) == plain);
  CHECK(plain < 1024 * 256);
  f.rules.rate = {1, 3600 * kSecond};
  for (std::uint32_t from = 0; from < 1000; ++from) f.end(f.connect(source(0x0a000000 + from)));
  CHECK(memory_of(f) - plain < 1024 * 1024 + 1000 * 64 + 4 * 4096);  // the heads, the sources
}

TEST_CASE("200,000 sources one after the other stay within the memory that bulkhead.json(5) states", "[property]") {
  Fixture f(1024);
  f.rules.rate = {1, 3600 * kSecond};
  for (std::uint32_t from = 0; from < 200'000; ++from) f.end(f.connect(source(0x0a000000 + from)));
  CHECK(memory_of(f) < 22 * 1024 * 1024);
  CHECK(f.connect(source(0x0a000000 + 199'999)) == kNoSlot);
}

TEST_CASE("when the room for rates is full, only the rate of the longest idle source is reset") {
  Fixture f(2, {4, 100});
  f.rules.rate = {1, 3600 * kSecond};
  constexpr std::uint32_t kRoom = 2 + 2 * 4 + 100;
  for (std::uint32_t from = 1; from <= kRoom; ++from) f.end(f.connect(source(from)));
  CHECK(f.connect(source(2)) == kNoSlot);
  f.end(f.connect(source(kRoom + 1)));
  CHECK(f.connect(source(2)) == kNoSlot);
  f.end(f.connect(source(1)));
  CHECK(f.verdict == SourceVerdict::admitted);
  CHECK(f.connect(source(3)) == kNoSlot);
  CHECK(f.table.sources().touched() == kRoom);
  CHECK(f.table.consistent());
}

TEST_CASE("a source with a connection is never removed to make room") {
  Fixture f(4, {1, 1});
  f.rules.max_connections = 1;
  f.rules.rate = {1, kSecond};
  const auto slot = f.connect(source(1));
  for (std::uint32_t from = 2; from < 500; ++from) f.end(f.connect(source(from)));
  CHECK(f.connect(source(1), kNow + 5 * kSecond) == kNoSlot);
  CHECK(f.verdict == SourceVerdict::per_source);
  f.end(slot);
  CHECK(f.table.consistent());
}

TEST_CASE("a penalised source is refused until its time has passed, and the others are not") {
  Fixture f(4);
  const Penalised penalised = f.crash(source(1), 90);
  CHECK(penalised.began);
  CHECK(f.connect(source(1)) == kNoSlot);
  CHECK(f.verdict == SourceVerdict::penalty);
  CHECK(f.connect(source(1), kNow + 89 * kSecond) == kNoSlot);
  f.end(f.connect(source(2)));
  f.end(f.connect(source(1), kNow + 91 * kSecond));
  CHECK(f.penalised(kNow + 91 * kSecond) == 0);
  CHECK(f.table.consistent());
}

TEST_CASE("small penalties begin to count once more than min is due") {
  Fixture f(4);
  CHECK_FALSE(f.crash(source(1), 10).began);
  CHECK(f.penalised() == 1);
  CHECK(f.crash(source(1), 10).began);
  CHECK(f.connect(source(1)) == kNoSlot);
}

TEST_CASE("exempt clients are admitted, penalised or not") {
  Fixture f(4);
  (void)f.crash(source(1), 90);
  CHECK(f.ask(source(1), kUnlimited, true).slot != kNoSlot);
}

TEST_CASE("a connection refused for lack of a slot is not counted, and takes nothing from its rate") {
  Fixture f(1);
  f.rules.max_connections = 1;
  f.rules.rate = {1, 3600 * kSecond};
  const auto other = f.connect(source(2));
  CHECK(f.ask(source(1), 1, false).refusal == Refusal::max_connections);
  f.end(other);
  CHECK(f.connect(source(1)) != kNoSlot);
}

TEST_CASE("a slot that was claimed before the accept gets its source on admission") {
  Fixture f(2);
  f.rules.max_connections = 1;
  const auto early = f.table.claim({1, 0, kNow}).slot;
  CHECK(f.table.admit({1, 0, kNow, false, {source(1), &f.rules, 1, false}}, early).slot == early);
  CHECK(f.connect(source(1)) == kNoSlot);
  (void)f.table.release(early);
  CHECK(f.connect(source(1)) != kNoSlot);
}

TEST_CASE("a rule's own limit replaces the listener's") {
  Fixture f(4);
  f.rules.max_connections = 1;
  CHECK(f.connect(source(1)) != kNoSlot);
  CHECK(f.ask(source(1), 2, false).source.connections == 1);
  CHECK(f.ask(source(1), 2, false).refusal == Refusal::per_source);
}

TEST_CASE("permissive: beyond max_sources the penalty that would end soonest is forgotten") {
  Fixture f(4);
  f.rules.penalties.max_sources4 = 3;
  for (std::uint32_t from = 1; from <= 3; ++from) (void)f.crash(source(from), 100 * from);
  CHECK(f.crash(source(9), 50).forgotten);  // itself
  CHECK(f.crash(source(4), 400).began);
  CHECK(f.penalised() == 3);
  f.end(f.connect(source(1)));
  for (std::uint32_t from = 2; from <= 4; ++from) CHECK(f.connect(source(from)) == kNoSlot);
  (void)f.crash(source(7, AF_INET6), 20);  // the families do not take each other's room
  CHECK(f.penalised() == 4);
  CHECK(f.table.consistent());
}

TEST_CASE("deny_all: beyond max_sources no new source of the family is admitted until a penalty ends") {
  Fixture f(4);
  f.rules.penalties.max_sources4 = 2;
  f.rules.penalties.overflow = Overflow::deny_all;
  (void)f.crash(source(1), 100);
  const auto early = f.connect(source(3));
  (void)f.crash(source(2), 20);
  CHECK(f.table.penalise(early, {Offence::crash, 90 * kSecond}, f.rules.penalties, kNow).forgotten);
  CHECK(f.connect(source(4)) == kNoSlot);
  CHECK(f.verdict == SourceVerdict::penalty);
  CHECK(f.connect(source(4, AF_INET6)) != kNoSlot);
  CHECK(f.connect(source(4), kNow + 21 * kSecond) != kNoSlot);
  CHECK(f.connect(source(1), kNow + 21 * kSecond) == kNoSlot);
}

TEST_CASE("clearing removes all penalties within the prefix and keeps the others") {
  Fixture f(4);
  for (std::uint32_t from = 0; from < 300; ++from) (void)f.crash(source(0x0a000000 + from), 16 + from);
  (void)f.crash(source(0x20010000, AF_INET6), 90);
  SourceKey prefix = source(0x0a000000);
  prefix.bits = 24;
  CHECK(f.table.forgive(prefix) == 256U);
  CHECK(f.penalised() == 45);
  CHECK(f.table.consistent());
  CHECK(f.connect(source(0x0a0000ff)) != kNoSlot);
  CHECK(f.connect(source(0x0a000100)) == kNoSlot);
  CHECK(f.table.forgive(source(0x0b000000)) == 0U);
  CHECK(f.table.forgive(source(0x20010000, AF_INET6)) == 1U);
}

TEST_CASE("a long random history stays consistent and agrees with a simple model") {
  Fixture f(32, {5, 10});
  f.rules.max_connections = 4;
  f.rules.rate = {3, 10 * kSecond};
  f.rules.penalties.max_sources4 = 4;
  std::mt19937 engine(7);
  const auto random = [&engine] { return static_cast<std::uint32_t>(engine()); };
  std::vector<std::pair<std::uint32_t, std::uint32_t>> held;  // slot, source
  std::map<std::uint32_t, std::uint32_t> connections;
  std::int64_t now = kNow;
  for (int round = 0; round < 30'000; ++round) {
    now += static_cast<std::int64_t>(random() % kSecond);
    if (random() % 2 == 0 && held.size() < 32) {
      const std::uint32_t from = 1 + random() % 60;
      const auto slot = f.connect(source(from), now);
      REQUIRE((slot != kNoSlot || f.verdict != SourceVerdict::per_source || connections[from] == 4));
      if (slot == kNoSlot) continue;
      ++connections[from];
      held.emplace_back(slot, from);
    } else if (!held.empty()) {
      const std::size_t at = random() % held.size();
      const auto [slot, from] = held[at];
      if (random() % 4 == 0) {
        const std::int64_t duration = (1 + static_cast<std::int64_t>(random() % 40)) * kSecond;
        (void)f.table.penalise(slot, {Offence::exit, duration}, f.rules.penalties, now);
      }
      f.end(slot);
      --connections[from];
      held.erase(held.begin() + static_cast<std::ptrdiff_t>(at));
    }
    if (random() % 500 == 0) (void)f.table.forgive(source(1 + random() % 60));
    if (round % 100 == 0) REQUIRE(f.table.consistent());
  }
  CHECK(f.table.consistent());
}
