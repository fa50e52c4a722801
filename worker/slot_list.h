// Lists of slots, in the order in which they were added. A slot is in at most one list of the same links; its removal
// costs the same wherever it is. The links are in memory of fixed size, allocated once, not inherited by children
// (MADV_DONTFORK), touched only where it is used.
#pragma once

#include <cstddef>
#include <cstdint>

#include "worker/ipc/table/table.h"

namespace bulkhead::worker {

class SlotLinks {
 public:
  explicit SlotLinks(std::uint32_t slots);
  ~SlotLinks();
  SlotLinks(const SlotLinks&) = delete;
  SlotLinks& operator=(const SlotLinks&) = delete;

  struct Link {
    std::uint32_t before;
    std::uint32_t after;
  };
  [[nodiscard]] Link& of(std::uint32_t slot) noexcept { return links_[slot]; }

 private:
  Link* links_ = nullptr;
  std::size_t size_ = 0;  // bytes
};

class SlotList {
 public:
  explicit SlotList(SlotLinks& links) : links_(links) {}
  void push_back(std::uint32_t slot) noexcept;
  void remove(std::uint32_t slot) noexcept;  // it is in this list
  [[nodiscard]] bool empty() const noexcept { return first_ == ipc::kNoSlot; }
  [[nodiscard]] std::uint32_t front() const noexcept { return first_; }

 private:
  SlotLinks& links_;
  std::uint32_t first_ = ipc::kNoSlot;
  std::uint32_t last_ = ipc::kNoSlot;
};

}  // namespace bulkhead::worker
