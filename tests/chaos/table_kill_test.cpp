// Kills holders of the connection table's lock and counts again. Two ways:
//   random   workers that do nothing but change the table are killed by SIGKILL, thousands of times, while others go
//   on;
//            then the slots of the dead are swept as the master does it, and everything must add up
//   stepped  one worker is traced through a scenario instruction by instruction (ptrace(2)), and at each at which it
//   holds
//            the lock a copy of the memory is repaired as if it had died there
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "worker/ipc/table/table.h"
#include "worker/ipc/table_view.h"

using namespace bulkhead;
using namespace bulkhead::ipc;

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::uint32_t kSlots = 24;
constexpr SourceRoom kRoom{4, 6};
constexpr Shape kShape{kSlots, 3, kSecond, kSlots};

[[noreturn]] void fail(const char* what, long number = 0) {
  std::fprintf(stderr, "FAILED: %s (%ld)\n", what, number);
  std::exit(1);
}

void check(bool good, const char* what, long number = 0) {
  if (!good) fail(what, number);
}

admission::SourceRules rules() {
  admission::SourceRules out;
  out.max_connections = 3;
  out.rate = {1000, kSecond};
  out.penalties.mode = admission::PenaltyMode::enforce;
  out.penalties.max_sources4 = 3;
  out.penalties.max_ns = 600 * kSecond;
  return out;
}

SourceKey source(std::uint32_t number) {
  Peer peer;
  peer.family = AF_INET;
  peer.address[3] = static_cast<std::uint8_t>(number);
  return source_of(peer, 32, 64);
}

Table map(const sys::Fd& memfd) {
  auto table = Table::map(memfd.get(), room_of(kShape, kRoom));
  check(bool(table), "map");
  return std::move(*table);
}

sys::Fd create() {
  auto memfd = create_table(kShape, kRoom);
  check(bool(memfd), "create");
  return std::move(*memfd);
}

// A worker's life: connections come, are refused, end well or badly, linger; penalties are earned and forgiven.
class Churn {
 public:
  Churn(Table& table, std::uint64_t run, unsigned seed) : table_(table), run_(run), random_(seed) {}

  void turn() {
    now_ += static_cast<std::int64_t>(random_() % (kSecond / 4));
    switch (random_() % 8) {
      case 0:
      case 1:
      case 2: begin(); break;
      case 3:
      case 4: end(); break;
      case 5: linger(); break;
      case 6: finish(); break;
      default: other();
    }
  }

 private:
  std::uint32_t number(std::uint32_t below) { return static_cast<std::uint32_t>(random_()) % below; }
  std::uint32_t take(std::vector<std::uint32_t>& from) {
    const std::size_t at = number(static_cast<std::uint32_t>(from.size()));
    const std::uint32_t slot = from[at];
    from[at] = from.back();
    from.pop_back();
    return slot;
  }
  void begin() {
    const Demand demand{run_, 0, now_, true, {source(number(20)), &rules_, rules_.max_connections, false}};
    // Either as with on_full queue, the slot first, or the slot last.
    const std::uint32_t claimed = number(2) == 0 ? table_.claim(demand).slot : kNoSlot;
    const Grant grant = table_.admit(demand, claimed);
    if (grant.slot == kNoSlot) {
      table_.refuse(grant.refusal);
      if (claimed != kNoSlot) (void)table_.release(claimed);
      return;
    }
    table_.slot(grant.slot).started_ns = now_;
    table_.serve(grant.slot);
    serving_.push_back(grant.slot);
  }
  void penalise(std::uint32_t slot) {
    if (number(3) != 0) return;
    const admission::Charge charge{admission::Offence::crash, (1 + number(20)) * kSecond};
    (void)table_.penalise(slot, charge, rules_.penalties, now_);
  }
  void end() {
    if (serving_.empty()) return;
    const std::uint32_t slot = take(serving_);
    penalise(slot);
    (void)table_.end(slot, number(2) == 0 ? EndCount::crashed : EndCount::normal);
  }
  void linger() {
    if (serving_.empty()) return;
    lingering_.push_back(take(serving_));
    penalise(lingering_.back());
    table_.linger(lingering_.back(), EndCount::normal, 0);
  }
  void finish() {
    if (!lingering_.empty()) (void)table_.finish(take(lingering_));
  }
  void other() {
    if (number(4) == 0) {
      (void)table_.forgive(source(number(20)));
    } else if (!serving_.empty()) {
      (void)table_.release(take(serving_));
    }
  }

  Table& table_;
  std::uint64_t run_;
  std::mt19937 random_;
  admission::SourceRules rules_ = rules();
  std::int64_t now_ = 1'000 * kSecond;
  std::vector<std::uint32_t> serving_;
  std::vector<std::uint32_t> lingering_;
};

// What the master writes beside the slots of a worker that is gone.
void order(const Table& table, TableView& view, std::uint64_t run) {
  for (std::uint32_t index = 0; index < table.room(); ++index) {
    const auto slot = view.copy(index);
    check(slot.has_value(), "copy", index);
    if (slot->owner != run || slot->state == SlotState::free) continue;
    MasterWord word;
    word.use = slot->use;
    const bool counts = slot->state == SlotState::serving || slot->state == SlotState::ending;
    word.wish = counts ? MasterWord::Wish::end : MasterWord::Wish::release;
    view.write(index, word);
  }
}

TableView view_of(const Table& table, int memfd) {
  auto view = TableView::map(memfd, table.room_of_it());
  check(bool(view), "view");
  return std::move(*view);
}

// And what the next worker makes of it.
void sweep(Table& table, TableView& view, std::uint64_t run) {
  table.repair(nullptr, 0);
  order(table, view, run);
  for (std::uint32_t index = 0; index < table.high_water(); ++index) {
    if (const auto word = table.wish(index)) check(table.collect(index, *word, {}, {}, 0).done, "carried out", index);
    check(!table.wish(index), "an order is carried out once", index);
  }
}

// The master may look before anybody has repaired the table. No later connection may be taken for one of those.
void sweep_unrepaired(Table& table, TableView& view, std::uint64_t run, long step) {
  order(table, view, run);
  table.repair(nullptr, 0);
  for (std::uint32_t index = 0; index < table.high_water(); ++index) {
    if (const auto word = table.wish(index)) check(table.collect(index, *word, {}, {}, 0).done, "carried out", index);
  }
  check(table.consistent() && table.counts().used == 0, "nothing is left that was ordered before the repair", step);
  table.limit({kSlots, 0, 0, kSlots});
  std::uint32_t slot = kNoSlot;
  while ((slot = table.claim({run + 1}).slot) != kNoSlot) {
    check(!table.wish(slot), "a new connection has no order after a death at step", step);
  }
}

pid_t start_worker(const sys::Fd& memfd, std::uint64_t run) {
  const pid_t parent = getpid();
  const pid_t pid = fork();
  check(pid >= 0, "fork");
  if (pid > 0) return pid;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  (void)!nice(10);  // so that the killing process gets its turn
  register_robust_list();
  Table table = map(memfd);
  Churn churn(table, run, static_cast<unsigned>(run));
  for (;;) churn.turn();
}

void kill_at_random(int kills, unsigned seed) {
  const sys::Fd memfd = create();
  Table table = map(memfd);
  TableView view = view_of(table, memfd.get());
  std::mt19937 random(seed);
  struct Worker {
    pid_t pid;
    std::uint64_t run;
  };
  std::uint64_t next_run = 1;
  std::vector<Worker> workers;
  for (int i = 0; i < 3; ++i) {
    workers.push_back({start_worker(memfd, next_run), next_run});
    ++next_run;
  }
  int inside = 0;
  for (int i = 0; i < kills; ++i) {
    usleep(static_cast<useconds_t>(random() % 700));
    Worker& victim = workers[random() % workers.size()];
    kill(victim.pid, SIGKILL);
    check(waitpid(victim.pid, nullptr, 0) == victim.pid, "waitpid");
    const std::uint32_t word = table.lock_of_it().word.load();
    if ((word & FUTEX_OWNER_DIED) != 0) ++inside;
    sweep(table, view, victim.run);
    victim = {start_worker(memfd, next_run), next_run};
    ++next_run;
    if (i % 16 == 0) check(table.consistent(), "consistent while the others go on", i);
  }
  for (const Worker& worker : workers) {
    kill(worker.pid, SIGKILL);
    check(waitpid(worker.pid, nullptr, 0) == worker.pid, "waitpid");
    sweep(table, view, worker.run);
  }
  check(table.consistent(), "consistent at the end");
  const Counts counts = table.counts();
  check(counts.used == 0 && counts.serving == 0, "nothing is left", counts.used);
  std::printf("random: %d kills, %d seen inside the lock, %llu connections completed, 0 left\n", kills, inside,
              static_cast<unsigned long long>(counts.completed));
}

// The memory of one table put into another, with its holder dead. Only pages that were ever touched: most never are.
class Copy {
 public:
  explicit Copy(const sys::Fd& original)
      : original_(original.get()), memfd_(create()), table_(map(memfd_)), view_(view_of(table_, memfd_.get())) {
    const off_t size = lseek(original_, 0, SEEK_END);
    size_ = static_cast<std::size_t>(size);
    from_ = static_cast<char*>(mmap(nullptr, size_, PROT_READ, MAP_SHARED, original_, 0));
    to_ = static_cast<char*>(mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, memfd_.get(), 0));
    check(from_ != MAP_FAILED && to_ != MAP_FAILED, "mmap");
  }
  [[nodiscard]] TableView& view() { return view_; }
  Table& take_dead() {
    for (off_t at = 0; (at = lseek(original_, at, SEEK_DATA)) >= 0;) {
      const off_t end = lseek(original_, at, SEEK_HOLE);
      std::memcpy(to_ + at, from_ + at, static_cast<std::size_t>(end - at));
      at = end;
    }
    for (std::uint32_t slot = 0; slot < kSlots; ++slot) view_.write(slot, {});  // of the deaths before
    table_.lock_of_it().word = FUTEX_OWNER_DIED;
    return table_;
  }

 private:
  int original_;
  sys::Fd memfd_;
  Table table_;
  TableView view_;
  std::size_t size_ = 0;
  char* from_ = nullptr;
  char* to_ = nullptr;
};

[[noreturn]] void traced_worker(const sys::Fd& memfd, int turns) {
  register_robust_list();
  Table table = map(memfd);
  if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) _exit(77);
  Churn churn(table, 7, 3);
  for (int i = 0; i < 200; ++i) churn.turn();  // heaps, lists and chains are not empty when it begins
  raise(SIGSTOP);
  for (int i = 0; i < turns; ++i) churn.turn();
  _exit(0);
}

void kill_at_every_instruction(int turns) {
  const sys::Fd memfd = create();
  Table table = map(memfd);
  Copy copy(memfd);
  const pid_t pid = fork();
  check(pid >= 0, "fork");
  if (pid == 0) traced_worker(memfd, turns);
  int status = 0;
  check(waitpid(pid, &status, 0) == pid, "waitpid");
  if (WIFEXITED(status)) {
    std::printf("stepped: not allowed to trace here, left out\n");
    return;
  }
  long steps = 0;
  long inside = 0;
  while (ptrace(PTRACE_SINGLESTEP, pid, nullptr, nullptr) == 0 && waitpid(pid, &status, 0) == pid &&
         WIFSTOPPED(status)) {
    check(WSTOPSIG(status) == SIGTRAP, "stopped by a signal", WSTOPSIG(status));
    ++steps;
    if ((table.lock_of_it().word.load() & FUTEX_TID_MASK) != static_cast<std::uint32_t>(pid)) continue;
    ++inside;
    Table& dead = copy.take_dead();
    const std::uint64_t before = dead.counts().completed;
    dead.repair(nullptr, 0);
    check(dead.consistent(), "consistent after a death at step", steps);
    check(dead.counts().completed - before <= 1, "one end is counted once", steps);
    sweep(dead, copy.view(), 7);
    check(dead.consistent() && dead.counts().used == 0, "nothing is left after a death at step", steps);
    sweep_unrepaired(copy.take_dead(), copy.view(), 7, steps);
  }
  check(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the traced worker ends by itself", status);
  check(inside > 0, "the lock was held at some step");
  std::printf("stepped: %ld instructions, %ld of them inside the lock, each repaired\n", steps, inside);
}

}  // namespace

int main(int argc, char** argv) {
  const int kills = argc > 1 ? std::atoi(argv[1]) : 1000;
  const unsigned seed = argc > 2 ? static_cast<unsigned>(std::atoi(argv[2])) : std::random_device{}();
  std::printf("seed %u\n", seed);
  std::fflush(stdout);
  register_robust_list();
  kill_at_every_instruction(60);
  kill_at_random(kills, seed);
  return 0;
}
