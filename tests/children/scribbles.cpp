// Stands in for a hostile worker: writes into a listener's connection table what no honest worker would, with the right
// of whoever runs it. The table is the one that a process of the daemon has open or mapped.
//
//   scribbles MASTER header             zeroes over the header, limits and all
//   scribbles MASTER lock               a lock that nobody ever gives back
//   scribbles MASTER used COUNT         so many taken slots
//   scribbles MASTER heap SEED          a lock whose holder has died, and rubbish for the source table to be repaired
//   from scribbles MASTER counts             counts that cannot be scribbles MASTER slot N STATE PID   one slot of the
//   first worker, STATE by its number; a PID of 0 stays the slot's own scribbles MASTER fill COUNT         that many
//   slots, all serving, by processes that do not exist scribbles MASTER race MS SEED       random words everywhere, all
//   the time
#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "worker/ipc/table_layout.h"

using namespace bulkhead::ipc;

namespace {

constexpr std::uint32_t kRoom = 65'536;  // what a listener's table has room for, unless it needs more
constexpr int kNobody = 0x3ffffffe;      // above any pid

int open_table(const std::string& master) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc/" + master + "/fd")) {
    std::error_code error;
    const std::string target = std::filesystem::read_symlink(entry.path(), error);
    if (target.find("bulkhead-table") != std::string::npos) return open(entry.path().c_str(), O_RDWR | O_CLOEXEC);
  }
  return -1;
}

struct Memory {
  char* bytes = nullptr;
  std::size_t size = 0;
  TableRoom room{kRoom, {}, 0};

  [[nodiscard]] TableHeader& header() const { return *reinterpret_cast<TableHeader*>(bytes); }
  [[nodiscard]] Slot& slot(std::uint32_t index) const {
    return reinterpret_cast<Slot*>(bytes + TableLayout(room).slots)[index];
  }
  [[nodiscard]] std::uint64_t run() const {
    for (const WorkerRecord& record : header().workers) {
      if (record.run != 0) return record.run;
    }
    return 0;
  }
};

// The room is found by the size.
bool map(int fd, Memory& out) {
  struct stat status {};
  if (fd < 0 || fstat(fd, &status) != 0) return false;
  out.size = static_cast<std::size_t>(status.st_size);
  while (TableLayout(out.room).size < out.size && out.room.slots < kMaxConnections) ++out.room.slots;
  void* const memory = mmap(nullptr, out.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  out.bytes = static_cast<char*>(memory);
  return memory != MAP_FAILED && TableLayout(out.room).size == out.size;
}

void forge(const Memory& table, std::uint32_t index, std::uint32_t state, std::int32_t pid) {
  Slot& slot = table.slot(index);
  slot.owner = table.run();
  if (pid != 0) slot.pid = pid;
  slot.deadline_ns = 1;
  slot.state = static_cast<SlotState>(state);
}

std::uint32_t rubbish(std::mt19937& random) {
  switch (random() % 4) {
    case 0: return static_cast<std::uint32_t>(random());
    case 1: return static_cast<std::uint32_t>(random()) % 100;
    case 2: return 0xffffffff - static_cast<std::uint32_t>(random()) % 4;
    default: return static_cast<std::uint32_t>(random()) % 400'000;
  }
}

// The source table's header and heaps, in the places where its algorithms look for indices.
void forge_sources(const Memory& table, unsigned seed) {
  std::mt19937 random(seed);
  const SourceLayout layout(table.room.slots, table.room.sources);
  char* const part = table.bytes + TableLayout(table.room).sources;
  auto& header = *reinterpret_cast<SourcesHeader*>(part);
  header.fresh = 400;
  header.oldest = rubbish(random);
  header.newest = rubbish(random);
  for (std::uint32_t& count : header.penalised) count = rubbish(random);
  for (std::uint32_t i = 0; i < 1000; ++i)
    reinterpret_cast<std::uint32_t*>(part + layout.heads_at)[i] = rubbish(random);
  for (std::uint32_t i = 0; i < 1000; ++i)
    reinterpret_cast<std::uint32_t*>(part + layout.heaps_at)[i] = rubbish(random);
  auto* const words = reinterpret_cast<std::uint32_t*>(part + layout.sources_at);
  for (std::size_t i = 0; i < 400 * sizeof(Source) / sizeof *words; ++i) words[i] = rubbish(random);
}

void race(const Memory& table, int milliseconds, unsigned seed) {
  std::mt19937 random(seed);
  const TableLayout layout(table.room);
  const std::size_t parts[] = {0, layout.slots, layout.words, layout.sources};
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(milliseconds);
  while (std::chrono::steady_clock::now() < end) {
    for (int i = 0; i < 1000; ++i) {
      const std::size_t at = parts[random() % 4] + random() % 2048 * sizeof(std::uint32_t);
      *reinterpret_cast<volatile std::uint32_t*>(table.bytes + at) = rubbish(random);
    }
  }
}

void carry_out(const Memory& table, const std::vector<std::string>& words) {
  const auto number = [&words](std::size_t at) {
    return at < words.size() ? static_cast<std::int32_t>(std::strtol(words[at].c_str(), nullptr, 10)) : 0;
  };
  const std::string& what = words[0];
  if (what == "header") std::memset(table.bytes, 0, offsetof(TableHeader, workers));
  if (what == "lock") table.header().lock.word = kNobody;
  if (what == "counts") std::memset(table.bytes + offsetof(TableHeader, counts), 0xff, sizeof(Counts));
  if (what == "used")
    table.header().counts.used = static_cast<std::uint32_t>(std::strtoul(words.at(1).c_str(), nullptr, 10));
  if (what == "slot")
    forge(table, static_cast<std::uint32_t>(number(1)), static_cast<std::uint32_t>(number(2)), number(3));
  for (std::int32_t i = 0; what == "fill" && i < number(1); ++i)
    forge(table, static_cast<std::uint32_t>(i), 2, kNobody);
  if (what == "race") race(table, number(1), static_cast<unsigned>(number(2)));
  if (what != "heap") return;
  forge_sources(table, static_cast<unsigned>(number(1)));
  table.header().lock.word = FUTEX_OWNER_DIED;
}

}  // namespace

int main(int argc, char** argv) {
  Memory table;
  if (argc < 3 || !map(open_table(argv[1]), table)) {
    std::fprintf(stderr, "there is no table\n");
    return 1;
  }
  carry_out(table, {argv + 2, argv + argc});
  return 0;
}
