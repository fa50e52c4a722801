// Private to the connection table's code: its header in memory, and how its lock is held.
#pragma once

#include <atomic>
#include <cstddef>
#include <new>

#include "worker/ipc/table.h"

namespace bulkhead::ipc {

inline constexpr std::size_t kPage = 4096;

inline std::size_t round_to_page(std::size_t bytes) noexcept {
  return (bytes + kPage - 1) / kPage * kPage;
}

// The stores of a half-done change must be in memory in program order, as seen from the process that repairs it. A
// killed process stops between two of its own instructions, so only the compiler could reorder.
inline void order() noexcept {
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

struct Table::Header {
  std::uint32_t magic;
  std::uint32_t version;
  Shape shape;

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
  std::uint32_t journal_use;
  std::uint32_t journal_linger;
  std::uint64_t journal_completed;
  std::uint64_t journal_crashed;

  alignas(64) WorkerRecord workers[kMaxWorkers];
};

// Holds the lock of a table and repairs what a dead holder left.
class TableGuard {
 public:
  explicit TableGuard(Table& table) noexcept : table_(table) { enter(lock(table.header_->lock)); }
  TableGuard(Table& table, std::nothrow_t) noexcept : table_(table) { enter(try_lock(table.header_->lock)); }
  ~TableGuard() {
    if (held_) unlock(table_.header_->lock);
  }
  TableGuard(const TableGuard&) = delete;
  TableGuard& operator=(const TableGuard&) = delete;
  [[nodiscard]] bool held() const noexcept { return held_; }

 private:
  void enter(Locked how) noexcept {
    held_ = how != Locked::busy;
    if (how == Locked::after_death) table_.recover();
  }
  Table& table_;
  bool held_ = false;
};

}  // namespace bulkhead::ipc
