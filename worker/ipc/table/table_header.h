// Private to the connection table's code: how its lock is held.
#pragma once

#include <atomic>

#include "worker/ipc/table/table.h"

namespace bulkhead::ipc {

// The stores of a half-done change must be in memory in program order, as seen from the process that repairs it. A
// killed process stops between two of its own instructions, so only the compiler could reorder.
inline void order() noexcept {
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

// Holds the lock of a table and repairs what a dead holder left.
class Table::Guard {
 public:
  explicit Guard(Table& table) noexcept : table_(table) {
    if (lock(table.header_->lock) == Locked::after_death) table_.recover();
  }
  ~Guard() { unlock(table_.header_->lock); }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

 private:
  Table& table_;
};

}  // namespace bulkhead::ipc
