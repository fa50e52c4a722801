// A hostile process writes random words into a connection table, as fast as it can, while the master's view reads all
// of it: whatever is seen, it is within the bounds.
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "worker/ipc/table_view.h"

using namespace bulkhead;
using namespace bulkhead::ipc;

namespace {

constexpr Shape kShape{512, 3, 1000, 512};

void check(bool good, const char* what) {
  if (good) return;
  std::fprintf(stderr, "FAILED: %s\n", what);
  std::exit(1);
}

std::uint32_t rubbish(std::mt19937& random) {
  const auto value = static_cast<std::uint32_t>(random());
  return value % 3 == 0 ? value % 1000 : value % 3 == 1 ? 0xffffffff - value % 4 : value;
}

[[noreturn]] void scribble(int memfd, unsigned seed) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const TableLayout layout(room_of(kShape));
  void* const memory = mmap(nullptr, layout.size, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
  if (memory == MAP_FAILED) _exit(1);
  auto* const words = static_cast<volatile std::uint32_t*>(memory);
  std::mt19937 random(seed);
  const std::size_t parts[] = {0, layout.slots / 4, layout.words / 4, layout.sources / 4};
  for (;;) words[parts[random() % 4] + random() % 4096] = rubbish(random);
}

void sweep(TableView& view) {
  std::vector<Slot> batch(128);
  for (std::uint32_t first = 0; first < kShape.room; first += 128) {
    const std::size_t got = view.copy(first, batch);
    check(got == batch.size(), "a whole batch");
    for (std::uint32_t i = 0; i < got; ++i) {
      MasterWord word;
      word.use = batch[i].use;
      word.wish = MasterWord::Wish::end;
      view.write(first + i, word);
      (void)view.is_open(first + i, word);
    }
  }
}

void look(TableView& view) {
  check(view.high_water() <= kShape.room, "high water");
  if (const auto counts = view.counts()) check(counts->used <= kMaxConnections, "counts");
  check(!view.copy(kShape.room), "no slot beyond the room");
  std::size_t found = 0;
  view.penalties(0, [&found](const PenaltyRecord& record) {
    ++found;
    check(SourceText(record.source).view().size() < 64, "a source's text");
  });
  check(found < SourceLayout(kShape.room, {}).sources, "penalties");
}

}  // namespace

int main(int argc, char** argv) {
  const unsigned seed = argc > 1 ? static_cast<unsigned>(std::atoi(argv[1])) : std::random_device{}();
  std::printf("seed %u\n", seed);
  std::fflush(stdout);
  auto memfd = create_table(kShape);
  check(bool(memfd), "create");
  auto view = TableView::map(memfd->get(), room_of(kShape));
  check(bool(view), "map");
  const pid_t pid = fork();
  check(pid >= 0, "fork");
  if (pid == 0) scribble(memfd->get(), seed);
  int rounds = 0;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  for (; std::chrono::steady_clock::now() < end; ++rounds) {
    sweep(*view);
    look(*view);
  }
  kill(pid, SIGKILL);
  check(waitpid(pid, nullptr, 0) == pid, "waitpid");
  std::printf("%d rounds\n", rounds);
  return 0;
}
