#include "worker/ipc/table/table.h"

#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <csignal>
#include <random>
#include <vector>

#include "worker/ipc/table_view.h"

using namespace bulkhead::ipc;
namespace sys = bulkhead::sys;

namespace {

struct Fixture {
  explicit Fixture(std::uint32_t capacity, std::uint32_t rate_count = 0, std::int64_t rate_per_ns = 0) {
    register_robust_list();
    const Shape shape{capacity, rate_count, rate_per_ns};
    auto memfd = create_table(shape);
    REQUIRE(memfd);
    fd = std::move(*memfd);
    auto mapped = Table::map(fd.get(), room_of(shape));
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

TEST_CASE("slots are given out up to the limit, and the next freed one wakes a waiting worker") {
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

TEST_CASE("counts follow a connection from claim to end") {
  Fixture f(4);
  const auto slot = f.claim(7, 3);
  CHECK(f.table.counts().used == 1);
  CHECK(f.table.counts().serving == 0);
  f.table.serve(slot);
  CHECK(f.table.counts().serving == 1);
  const auto use = f.table.slot(slot).use;
  (void)f.table.end(slot, EndCount::crashed);
  CHECK(f.table.counts().serving == 0);
  CHECK(f.table.counts().used == 0);
  CHECK(f.table.counts().completed == 1);
  CHECK(f.table.counts().crashed == 1);
  CHECK(f.table.consistent());
  REQUIRE(f.claim(7, 3) == slot);
  CHECK(f.table.slot(slot).use == use + 1);
}

TEST_CASE("a group that outlives its connection keeps the slot, but the connection has ended") {
  Fixture f(1);
  const auto slot = f.claim(7, 0);
  f.table.serve(slot);
  f.table.linger(slot, EndCount::normal, 99);
  CHECK(f.table.counts().completed == 1);
  CHECK(f.table.counts().serving == 0);
  CHECK(f.claim(7, 0) == kNoSlot);
  CHECK(f.table.finish(slot));
  CHECK(f.claim(7, 0) == slot);
  CHECK(f.table.consistent());
}

TEST_CASE("a connection whose process was never started is not counted") {
  Fixture f(1);
  const auto slot = f.claim(7, 0);
  f.table.serve(slot);
  (void)f.table.release(slot);
  const Counts counts = f.table.counts();
  CHECK(counts.completed == 0);
  CHECK(counts.serving == 0);
  CHECK(counts.used == 0);
}

TEST_CASE("refusals are counted by reason") {
  Fixture f(1);
  f.table.refuse(Refusal::handler_start);
  f.table.refuse(Refusal::handler_start);
  CHECK(f.table.counts().refused[static_cast<std::size_t>(Refusal::handler_start)] == 2);
  CHECK(std::string(refusal_text(Refusal::max_connections)) == "max_connections");
}

namespace {

using Wish = MasterWord::Wish;

MasterWord order(const Table& table, std::uint32_t slot, Wish wish, EndCount count = EndCount::normal) {
  MasterWord out;
  out.use = const_cast<Table&>(table).slot(slot).use;
  out.wish = wish;
  out.count = count;
  return out;
}

Collected collect(Fixture& f, std::uint32_t slot) {
  const auto word = f.table.wish(slot);
  return word ? f.table.collect(slot, *word, {}, {}, 0) : Collected{};
}

}  // namespace

TEST_CASE("a word is what it was, and any number is some word") {
  MasterWord word{0xdeadbeef, Wish::linger, true, false, true, EndCount::client_gone, 0x8b};
  CHECK(master_word(word_of(word)) == word);
  CHECK(master_word(~std::uint64_t{0}).wish == Wish::none);
  CHECK_FALSE(master_word(0).is_order());
}

TEST_CASE("a worker carries out what the master has written beside a slot, once") {
  Fixture f(4);
  auto view = TableView::map(f.fd.get(), f.table.room_of_it());
  REQUIRE(view);
  const auto crashed = f.claim();
  f.table.serve(crashed);
  const auto claimed = f.claim();
  view->write(crashed, order(f.table, crashed, Wish::end, EndCount::crashed));
  view->write(claimed, order(f.table, claimed, Wish::release));
  CHECK(view->is_open(crashed, view->word(crashed)));
  CHECK(collect(f, crashed).done);
  CHECK(collect(f, claimed).done);
  CHECK_FALSE(collect(f, crashed).done);
  CHECK_FALSE(view->is_open(crashed, view->word(crashed)));
  CHECK(f.table.counts().completed == 1);
  CHECK(f.table.counts().crashed == 1);
  CHECK(f.table.counts().used == 0);
  CHECK(f.table.consistent());
}

TEST_CASE("a group that is left keeps the slot until the master says that it is gone") {
  Fixture f(1);
  auto view = TableView::map(f.fd.get(), f.table.room_of_it());
  REQUIRE(view);
  const auto slot = f.claim();
  f.table.serve(slot);
  view->write(slot, order(f.table, slot, Wish::linger));
  CHECK(collect(f, slot).done);
  CHECK_FALSE(collect(f, slot).done);
  CHECK(f.table.counts().completed == 1);
  CHECK(f.claim() == kNoSlot);
  view->write(slot, order(f.table, slot, Wish::end));
  CHECK(collect(f, slot).ring);
  CHECK(f.table.counts().completed == 1);
  CHECK(f.claim() == slot);
}

TEST_CASE("a word for another use of the slot, or for a free one, is no order") {
  Fixture f(1);
  auto view = TableView::map(f.fd.get(), f.table.room_of_it());
  REQUIRE(view);
  const auto slot = f.claim();
  const MasterWord word = order(f.table, slot, Wish::end);
  (void)f.table.release(slot);
  view->write(slot, word);
  CHECK_FALSE(f.table.wish(slot));
  CHECK(f.claim() == slot);
  CHECK_FALSE(f.table.wish(slot));
  CHECK_FALSE(f.table.wish(kNoSlot));
}

TEST_CASE("a view's copies are what the workers' side has, and name the master's slots") {
  Fixture f(4);
  auto view = TableView::map(f.fd.get(), f.table.room_of_it());
  REQUIRE(view);
  const auto slot = f.claim(7, 3);
  f.table.slot(slot).pid = 99;
  f.table.serve(slot);
  REQUIRE(view->copy(slot));
  CHECK(view->copy(slot)->pid == 99);
  CHECK(view->copy(slot)->owner == 7);
  view->write(slot, order(f.table, slot, Wish::adopted));
  CHECK(view->copy(slot)->owner == 0);
  CHECK_FALSE(view->copy(4));
  REQUIRE(view->counts());
  CHECK(view->counts()->serving == 1);
}

TEST_CASE("counts are not read while somebody holds the lock") {
  Fixture f(1);
  auto view = TableView::map(f.fd.get(), f.table.room_of_it());
  REQUIRE(view);
  f.table.lock_of_it().word = 1;
  CHECK_FALSE(view->counts());
  f.table.lock_of_it().word = 0;
  CHECK(view->counts());
}

TEST_CASE("whatever is written into the header, a worker repairs what it begins with") {
  Fixture f(8);
  const auto slot = f.claim();
  f.table.serve(slot);
  auto* const header =
      static_cast<TableHeader*>(mmap(nullptr, sizeof(TableHeader), PROT_READ | PROT_WRITE, MAP_SHARED, f.fd.get(), 0));
  REQUIRE(header != MAP_FAILED);
  header->free_head = 0x7fffffff;
  header->fresh = 0;
  header->claimed = 77;
  header->counts.used = 0xffffffff;
  header->shape = {0xffffffff, 0xffffffff, -1, 0};
  f.table.repair(nullptr, 0);
  f.table.limit({8, 0, 0});
  CHECK(f.table.consistent());
  CHECK(f.table.counts().used == 1);
  for (int i = 0; i < 7; ++i) CHECK(f.claim() != slot);
  CHECK(f.claim() == kNoSlot);
  // And while it works, no index leads out of the table.
  header->free_head = 0x7fffffff;
  header->counts.used = 0;
  CHECK(f.claim() == kNoSlot);
  munmap(header, sizeof(TableHeader));
}

TEST_CASE("a table that is recreated has the slots that live, and other uses for the rest") {
  const Shape shape{4, 0, 0};
  TableRoom room = room_of(shape);
  room.first_use = 1U << 26;
  auto memfd = create_table(shape);
  REQUIRE(memfd);
  KeptSlot kept{2, {}};
  kept.slot.use = 5;
  kept.slot.state = SlotState::serving;
  Counts counts;
  counts.completed = 41;
  REQUIRE(fill_table(memfd->get(), room, {&kept, 1}, counts));
  auto table = Table::map(memfd->get(), room);
  REQUIRE(table);
  register_robust_list();
  table->repair(nullptr, 0);
  table->limit(shape);
  CHECK(table->counts().completed == 41);
  CHECK(table->counts().serving == 1);
  for (int i = 0; i < 3; ++i) {
    const auto slot = table->claim({1, 0, 0}).slot;
    REQUIRE(slot != kNoSlot);
    CHECK(table->slot(slot).use == 1U << 26);
  }
  CHECK(table->slot(2).use == 5);
  CHECK(table->consistent());
}

TEST_CASE("a long random history stays consistent") {
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
          (void)f.table.end(take(serving), EndCount::normal);
          ++ended;
        }
    }
    REQUIRE(f.table.counts().serving == serving.size());
    REQUIRE(f.table.counts().used == serving.size() + claimed.size());
    REQUIRE(f.table.counts().completed == ended);
  }
  CHECK(f.table.consistent());
}

TEST_CASE("a lease limits the slots of a table, and one that is lowered takes none away") {
  Fixture f(8);
  auto view = TableView::map(f.fd.get(), f.table.room_of_it());
  REQUIRE(view);
  view->write(Lease{true, false, 2}, 10);
  CHECK(f.table.daemon_max() == 10);
  const auto first = f.claim();
  CHECK(f.claim() != kNoSlot);
  const Grant third = f.table.claim({1, 0, 0});
  CHECK(third.refusal == Refusal::daemon_max);
  CHECK_FALSE(third.exhausted);
  CHECK(f.table.somebody_waits());
  view->write(Lease{true, true, 1}, 10);
  CHECK(f.table.claim({1, 0, 0}).exhausted);
  CHECK(view->places_taken() == 2);
  CHECK(f.table.release(first));
  CHECK(f.claim() == kNoSlot);
  view->write(Lease{}, 0);
  CHECK(f.claim() != kNoSlot);
  CHECK(f.table.consistent());
}

namespace {

// The master, at any instruction of a worker: lowers the lease, and reads what is taken.
struct Interruption {
  TableView* view = nullptr;
  std::atomic<bool> armed{false};
  std::atomic<std::uint32_t> held{0};
};
Interruption interruption;

void lower_the_lease(int) {
  if (!interruption.armed.exchange(false)) return;
  interruption.view->write(Lease{true, false, 1}, 64);
  interruption.held = std::max(1U, interruption.view->places_taken());
}

}  // namespace

TEST_CASE("after a lease was lowered at any moment, no more is taken than the master has read") {
  Fixture f(64);
  auto view = TableView::map(f.fd.get(), f.table.room_of_it());
  REQUIRE(view);
  interruption.view = &*view;
  struct sigaction action {};
  action.sa_handler = lower_the_lease;
  sigaction(SIGALRM, &action, nullptr);
  const itimerval often{{0, 100}, {0, 100}};
  setitimer(ITIMER_REAL, &often, nullptr);
  const std::uint32_t first = f.claim();
  const std::uint32_t second = f.claim();
  int more_than_known = 0;
  for (int n = 0; n < 3000;) {
    view->write(Lease{true, false, 64}, 64);
    interruption.armed = true;
    for (bool lowered = false; !lowered;) {
      const std::uint32_t slot = f.claim();
      lowered = !interruption.armed;
      if (lowered && view->places_taken() > std::max(1U, interruption.held.load())) ++more_than_known;
      if (slot != kNoSlot) (void)f.table.release(slot);
    }
    ++n;
  }
  const itimerval never{};
  setitimer(ITIMER_REAL, &never, nullptr);
  (void)f.table.release(first);
  (void)f.table.release(second);
  CHECK(more_than_known == 0);
  CHECK(f.table.counts().used == 0);
  CHECK(f.table.consistent());
}

TEST_CASE("a connection's id is unique to its use, listener and slot") {
  const auto id = connection_id(0xabcdef01, 4095, 999'999);
  const ConnectionName name = connection_name(id);
  CHECK(name.use == 0xabcdef01);
  CHECK(name.listener == 4095);
  CHECK(name.slot == 999'999);
}

TEST_CASE("memory of another size than the plan says is not mapped as a table") {
  const TableRoom room = room_of({8, 0, 0});
  sys::Fd null(memfd_create("test", MFD_CLOEXEC));
  CHECK_FALSE(Table::map(null.get(), room));
  CHECK_FALSE(TableView::map(null.get(), room));
  REQUIRE(ftruncate(null.get(), 1 << 20) == 0);
  CHECK_FALSE(Table::map(null.get(), room));
  CHECK_FALSE(TableView::map(null.get(), room));
}

namespace {

constexpr std::int64_t kStart = 1'000'000'000'000;

// Claims and, at once, begins a connection. The refusal, or count_ when there was none.
Refusal begin(Table& table, std::int64_t now_ns) {
  const Grant grant = table.claim({1, 0, now_ns});
  if (grant.slot == kNoSlot) return grant.refusal;
  table.slot(grant.slot).started_ns = now_ns;
  table.serve(grant.slot);
  (void)table.end(grant.slot, EndCount::normal);
  return Refusal::count_;
}

}  // namespace

TEST_CASE("a rate admits its count, reports when it has room again, and recovers") {
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

TEST_CASE("a rate admits no more than its count in any window of its length") {
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

TEST_CASE("a claim holds its part of the rate, and gives it back if it does not become a connection") {
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

TEST_CASE("an admitted connection keeps its slot") {
  Fixture f(1);
  const auto slot = f.claim();
  CHECK(f.table.admit({1, 0, 0}, slot).slot == slot);
  CHECK(f.table.admit({1, 0, 0}, kNoSlot).refusal == Refusal::max_connections);
  CHECK(f.table.somebody_waits());
}
