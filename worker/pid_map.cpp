#include "worker/pid_map.h"

#include <sys/mman.h>

#include <cstdlib>

namespace bulkhead::worker {

PidMap::PidMap(std::uint32_t entries) {
  std::size_t capacity = 16;
  while (capacity < std::size_t{entries} * 2) capacity *= 2;
  mask_ = capacity - 1;
  void* memory = mmap(nullptr, capacity * sizeof(Entry), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) std::abort();
  madvise(memory, capacity * sizeof(Entry), MADV_DONTFORK);
  entries_ = static_cast<Entry*>(memory);
}

PidMap::~PidMap() {
  munmap(entries_, (mask_ + 1) * sizeof(Entry));
}

std::size_t PidMap::home(pid_t pid) const noexcept {
  return (static_cast<std::uint32_t>(pid) * 2654435761u >> 4) & mask_;
}

void PidMap::put(pid_t pid, std::uint32_t slot) noexcept {
  std::size_t at = home(pid);
  while (entries_[at].pid != 0 && entries_[at].pid != pid) at = (at + 1) & mask_;
  if (entries_[at].pid == 0) ++size_;
  entries_[at] = {pid, slot};
}

std::uint32_t PidMap::find(pid_t pid) const noexcept {
  for (std::size_t at = home(pid); entries_[at].pid != 0; at = (at + 1) & mask_) {
    if (entries_[at].pid == pid) return entries_[at].slot;
  }
  return kNoEntry;
}

std::uint32_t PidMap::take(pid_t pid) noexcept {
  std::size_t at = home(pid);
  while (entries_[at].pid != pid) {
    if (entries_[at].pid == 0) return kNoEntry;
    at = (at + 1) & mask_;
  }
  const std::uint32_t slot = entries_[at].slot;
  // Close the gap, so that no tombstones pile up: every later entry of the run moves up if its home allows it.
  std::size_t gap = at;
  for (std::size_t next = (gap + 1) & mask_; entries_[next].pid != 0; next = (next + 1) & mask_) {
    const std::size_t distance_home = (next - home(entries_[next].pid)) & mask_;
    if (distance_home >= ((next - gap) & mask_)) {
      entries_[gap] = entries_[next];
      gap = next;
    }
  }
  entries_[gap].pid = 0;
  --size_;
  return slot;
}

pid_t PidMap::next(std::size_t& at) const noexcept {
  while (at <= mask_ && entries_[at].pid == 0) ++at;
  return at <= mask_ ? entries_[at].pid : 0;
}

}  // namespace bulkhead::worker
