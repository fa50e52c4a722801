#include "worker/sys/fork_diet.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

namespace bulkhead::sys {

void keep_heap_from_children() noexcept {
  constexpr std::uintptr_t kPage = 4096;
  constexpr std::uintptr_t kThreadBlock = 4096;  // glibc's struct pthread follows the thread pointer
  const auto thread = reinterpret_cast<std::uintptr_t>(__builtin_thread_pointer());
  const auto end = reinterpret_cast<std::uintptr_t>(sbrk(0)) / kPage * kPage;
  const std::uintptr_t start = (thread + kThreadBlock + kPage - 1) / kPage * kPage;
  // In a dynamic program the thread block lies elsewhere, above the heap.
  if (start >= end) return;
  madvise(reinterpret_cast<void*>(start), end - start, MADV_DONTFORK);
}

}  // namespace bulkhead::sys
