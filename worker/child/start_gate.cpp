#include "worker/child/start_gate.h"

#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <ctime>

namespace bulkhead::child {

namespace {

constexpr timespec kLook{0, 20'000'000};  // how often to see whether the worker is still there

}  // namespace

StartGate::StartGate(std::uint32_t slots) : size_(std::size_t{slots} * sizeof words_[0]) {
  void* memory = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) std::abort();
  words_ = static_cast<std::atomic<std::int32_t>*>(memory);
}

void StartGate::close(std::uint32_t slot) noexcept {
  words_[slot].store(0, std::memory_order_relaxed);
}

void StartGate::open(std::uint32_t slot, pid_t pid) noexcept {
  words_[slot].store(pid, std::memory_order_release);
  syscall(SYS_futex, &words_[slot], FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

bool StartGate::pass(std::uint32_t slot, pid_t worker) noexcept {
  const pid_t self = getpid();
  bool through = false;
  for (;;) {
    const std::int32_t word = words_[slot].load(std::memory_order_acquire);
    through = word == self;
    if (through || getppid() != worker) break;
    syscall(SYS_futex, &words_[slot], FUTEX_WAIT, word, &kLook, nullptr, 0);
  }
  munmap(words_, size_);
  return through;
}

}  // namespace bulkhead::child
