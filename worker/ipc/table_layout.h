// How a connection table (worker/ipc/table/table.h) lies in its memfd: header, rate, slots, the master's words
// (one for each slot, then those of worker/ipc/lease.h), sources, each on pages of its own. The room of each part never
// changes and is not in the table: a worker has it from its sealed plan, and the master knows it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "worker/ipc/lease.h"
#include "worker/ipc/slot.h"
#include "worker/ipc/source_layout.h"
#include "worker/sys/fd.h"
#include "worker/sys/result.h"

namespace bulkhead::ipc {

struct TableRoom {
  std::uint32_t slots = 0;
  SourceRoom sources;
  // The first `use` of slots that were never used. A table that is recreated begins far above the one before.
  std::uint32_t first_use = 0;
};

// worker/ipc/table/robust_lock.h
struct RobustLock {
  // 0 free; else the holder's thread id, with the kernel's WAITERS and OWNER_DIED bits.
  std::atomic<std::uint32_t> word{0};
};

struct TableHeader {
  Shape shape;  // the limits; its room is not used

  RobustLock lock;
  std::uint32_t waiting;    // a worker found the table full and sleeps on the bell
  std::uint32_t free_head;  // freed slots, last in first out: the one whose memory is warm
  std::uint32_t fresh;      // slots from here on were never used
  std::uint32_t claimed;    // slots in that state
  std::uint32_t rate_next;  // the oldest entry of the rate's ring, to be overwritten next
  Counts counts;

  // One entry: an end that may be half done. Counts of ended connections cannot be recounted from the slots, so they
  // are written here first.
  std::uint32_t journal_open;
  std::uint32_t journal_slot;
  std::uint32_t journal_linger;
  std::uint64_t journal_completed;
  std::uint64_t journal_crashed;
  std::uint64_t journal_client_gone;

  alignas(64) WorkerRecord workers[kMaxWorkers];
};

// The bytes of the master's words.
[[nodiscard]] constexpr std::size_t bytes_of_words(const TableRoom& room) noexcept {
  return (std::size_t{room.slots} + kExtraWords) * sizeof(std::uint64_t);
}

struct TableLayout {
  explicit TableLayout(const TableRoom& room) noexcept;
  std::size_t rate;
  std::size_t slots;
  std::size_t words;
  std::size_t sources;
  std::size_t size;
};

// Where the parts of a table with this room are. An error: `memfd` cannot be one, by its size.
[[nodiscard]] sys::Result<TableLayout> layout_in(int memfd, const TableRoom& room);

// The room that a table of this shape has.
[[nodiscard]] TableRoom room_of(const Shape& shape, const SourceRoom& sources = {}) noexcept;

// A fresh table in a memfd whose size is sealed. Untouched slots cost address space, not memory.
[[nodiscard]] sys::Result<sys::Fd> create_table(const Shape& shape, const SourceRoom& sources = {});

}  // namespace bulkhead::ipc
