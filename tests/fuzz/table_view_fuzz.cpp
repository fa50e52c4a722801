// Bytes as what a hostile worker writes into a connection table: (place, word) after (place, word). Whatever that makes
// of it, the master's view of it stays within its bounds.
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "worker/ipc/table_view.h"

namespace {

using namespace bulkhead::ipc;

constexpr Shape kShape{16, 3, 1000, 16};
constexpr SourceRoom kSources{4, 6};

void require(bool condition) {
  if (!condition) std::abort();
}

void write_words(int memfd, std::size_t size, const std::uint8_t* data, std::size_t left) {
  for (; left >= 8; data += 8, left -= 8) {
    std::uint32_t place = 0;
    std::memcpy(&place, data, sizeof place);
    require(pwrite(memfd, data + 4, 4, static_cast<off_t>(place % (size - 4))) == 4);
  }
}

void read_all(TableView& view) {
  if (const auto counts = view.counts()) require(counts->serving <= kMaxConnections && counts->used <= kMaxConnections);
  require(view.high_water() <= kShape.room);
  for (std::uint32_t slot = 0; slot < kShape.room + 2; ++slot) {
    if (view.copy(slot)) require(slot < kShape.room);
    const MasterWord word = view.word(slot);
    require(word.wish <= MasterWord::Wish::end);
    (void)view.is_open(slot, word);
    view.write(slot, word);
  }
  Slot batch[8];
  require(view.copy(12, batch) == 4);
  std::uint32_t found = 0;
  view.penalties(0, [&found](const PenaltyRecord& record) {
    ++found;
    require(SourceText(record.source).view().size() < 64);
  });
  require(found < SourceLayout(kShape.room, kSources).sources);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto memfd = create_table(kShape, kSources);
  require(bool(memfd));
  const TableRoom room = room_of(kShape, kSources);
  auto view = TableView::map(memfd->get(), room);
  require(bool(view));
  write_words(memfd->get(), TableLayout(room).size, data, size);
  read_all(*view);
  return 0;
}
