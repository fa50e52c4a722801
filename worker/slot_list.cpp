#include "worker/slot_list.h"

#include <sys/mman.h>

#include <cstdlib>

namespace bulkhead::worker {

SlotLinks::SlotLinks(std::uint32_t slots) : size_(std::size_t{slots} * sizeof(Link)) {
  if (size_ == 0) return;
  void* memory = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) std::abort();
  madvise(memory, size_, MADV_DONTFORK);
  links_ = static_cast<Link*>(memory);
}

SlotLinks::~SlotLinks() {
  if (links_ != nullptr) munmap(links_, size_);
}

void SlotList::push_back(std::uint32_t slot) noexcept {
  links_.of(slot) = {last_, ipc::kNoSlot};
  if (last_ == ipc::kNoSlot) {
    first_ = slot;
  } else {
    links_.of(last_).after = slot;
  }
  last_ = slot;
}

void SlotList::remove(std::uint32_t slot) noexcept {
  const auto [before, after] = links_.of(slot);
  (before == ipc::kNoSlot ? first_ : links_.of(before).after) = after;
  (after == ipc::kNoSlot ? last_ : links_.of(after).before) = before;
}

}  // namespace bulkhead::worker
