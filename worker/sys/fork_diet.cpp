#include "worker/sys/fork_diet.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>  // program_invocation_name
#include <cstdint>

namespace bulkhead::sys {

namespace {

constexpr std::uintptr_t kPage = 4096;

}  // namespace

void keep_heap_from_children() noexcept {
  constexpr std::uintptr_t kThreadBlock = 4096;  // glibc's struct pthread follows the thread pointer
  const auto thread = reinterpret_cast<std::uintptr_t>(__builtin_thread_pointer());
  const auto end = reinterpret_cast<std::uintptr_t>(sbrk(0)) / kPage * kPage;
  const std::uintptr_t start = (thread + kThreadBlock + kPage - 1) / kPage * kPage;
  // In a dynamic program the thread block lies elsewhere, above the heap.
  if (start >= end) return;
  madvise(reinterpret_cast<void*>(start), end - start, MADV_DONTFORK);
}

void keep_stack_from_children() noexcept {
  constexpr std::uintptr_t kFirstSize = 128 * 1024;  // mapped by execve(2); what it grows by later has our advice
  const auto end = reinterpret_cast<std::uintptr_t>(program_invocation_name) / kPage * kPage;
  madvise(reinterpret_cast<void*>(end - kFirstSize), kFirstSize, MADV_DONTFORK);
}

}  // namespace bulkhead::sys
