#include "worker/ipc/table_layout.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace bulkhead::ipc {

std::uint64_t connection_id(std::uint32_t use, std::uint32_t listener, std::uint32_t slot) noexcept {
  return std::uint64_t{use} << 32 | std::uint64_t{listener} << 20 | slot;
}

ConnectionName connection_name(std::uint64_t id) noexcept {
  return {static_cast<std::uint32_t>(id >> 32), static_cast<std::uint32_t>(id >> 20) & 0xfff,
          static_cast<std::uint32_t>(id) & 0xfffff};
}
static_assert(kMaxConnections < 1U << 20 && kMaxListeners <= 1U << 12);

TableLayout::TableLayout(const TableRoom& room) noexcept
    : rate(round_to_page(sizeof(TableHeader))),
      // Room for any rate: one that changes keeps its place.
      slots(rate + round_to_page(std::size_t{kMaxRate} * sizeof(std::int64_t))),
      words(slots + round_to_page(std::size_t{room.slots} * sizeof(Slot))),
      sources(words + round_to_page(bytes_of_words(room))),
      size(sources + SourceLayout(room.slots, room.sources).size) {}

sys::Result<TableLayout> layout_in(int memfd, const TableRoom& room) {
  struct stat status {};
  if (fstat(memfd, &status) != 0) return sys::Error{"fstat", "connection table", errno};
  const TableLayout layout(room);
  if (room.slots > kMaxConnections || static_cast<std::size_t>(status.st_size) != layout.size) {
    return sys::Error{"map", "connection table", EINVAL};
  }
  return layout;
}

TableRoom room_of(const Shape& shape, const SourceRoom& sources) noexcept {
  return {std::min(std::max(shape.room, shape.capacity), kMaxConnections), sources, 0};
}

namespace {

// The two headers; all else is zero. By pwrite(2): nothing has to be mapped for it.
bool write_headers(int memfd, const Shape& shape, const TableLayout& layout) {
  TableHeader header{};
  header.shape = shape;
  header.free_head = kNoSlot;
  SourcesHeader sources{};
  sources.fresh = 1;
  if (getrandom(&sources.key, sizeof sources.key, 0) != sizeof sources.key) return false;
  return pwrite(memfd, &header, sizeof header, 0) == sizeof header &&
         pwrite(memfd, &sources, sizeof sources, static_cast<off_t>(layout.sources)) == sizeof sources;
}

}  // namespace

sys::Result<sys::Fd> create_table(const Shape& shape, const SourceRoom& sources) {
  sys::Fd memfd(memfd_create("bulkhead-table", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memfd) return sys::Error{"memfd_create", "connection table", errno};
  const TableLayout layout(room_of(shape, sources));
  if (ftruncate(memfd.get(), static_cast<off_t>(layout.size)) != 0) {
    return sys::Error{"ftruncate", "connection table", errno};
  }
  fcntl(memfd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
  if (!write_headers(memfd.get(), shape, layout)) return sys::Error{"write", "connection table", errno};
  return memfd;
}

}  // namespace bulkhead::ipc
