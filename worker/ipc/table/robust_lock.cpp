#include "worker/ipc/table/robust_lock.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <ctime>

namespace bulkhead::ipc {

namespace {

// Not a static object: it changes with every lock, and its place decides which page a worker's fork must copy
// (worker/sys/fork_diet.h). Lives as long as the process, since the kernel keeps its address.
robust_list_head* list_head = nullptr;
std::uint32_t own_tid = 0;

// The kernel finds the futex word at entry + futex_offset; our entry is the word itself. The compiler must not move the
// pending mark across the word's change: the kernel looks at both at the moment of death, on this very thread.
void set_pending(RobustLock* robust) noexcept {
  std::atomic_signal_fence(std::memory_order_seq_cst);
  list_head->list_op_pending = reinterpret_cast<robust_list*>(robust == nullptr ? nullptr : &robust->word);
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

long futex(std::atomic<std::uint32_t>& word, int operation, std::uint32_t value,
           const timespec* timeout = nullptr) noexcept {
  return syscall(SYS_futex, &word, operation, value, timeout, nullptr, 0);
}

// Many short waits, so that a machine that was stopped as a whole counts as one of them.
constexpr timespec kPatience{0, 100'000'000};
constexpr int kMostWaits = 10;
void (*when_stuck)() = nullptr;

// Nobody let go of the lock in all that time.
class Impatience {
 public:
  void timed_out(std::uint32_t holder) noexcept {
    waits_ = holder == holder_ ? waits_ + 1 : 1;
    holder_ = holder;
    if (waits_ >= kMostWaits && when_stuck != nullptr) when_stuck();
  }
  void woken() noexcept { waits_ = 0; }

 private:
  std::uint32_t holder_ = 0;
  int waits_ = 0;
};

bool is_free(std::uint32_t value) noexcept {
  return (value & FUTEX_TID_MASK) == 0;
}

// Takes a free word, keeping the waiters' bit; `value` becomes what is there now when it fails.
bool take(RobustLock& robust, std::uint32_t& value, std::uint32_t extra) noexcept {
  const std::uint32_t wanted = own_tid | extra | (value & FUTEX_WAITERS);
  return robust.word.compare_exchange_strong(value, wanted, std::memory_order_acquire, std::memory_order_relaxed);
}

Locked result(std::uint32_t before) noexcept {
  return (before & FUTEX_OWNER_DIED) != 0 ? Locked::after_death : Locked::yes;
}

}  // namespace

void register_robust_list() noexcept {
  if (list_head == nullptr) list_head = new robust_list_head;
  list_head->list.next = &list_head->list;
  list_head->futex_offset = 0;
  list_head->list_op_pending = nullptr;
  own_tid = static_cast<std::uint32_t>(gettid());
  syscall(SYS_set_robust_list, list_head, sizeof *list_head);
}

void call_when_stuck(void (*handler)()) noexcept {
  when_stuck = handler;
}

Locked lock(RobustLock& robust) noexcept {
  set_pending(&robust);
  std::uint32_t value = robust.word.load(std::memory_order_relaxed);
  // A waiter cannot know whether others still wait, so the bit stays set and unlock wakes one too many.
  std::uint32_t extra = 0;
  Impatience impatience;
  for (;;) {
    if (is_free(value)) {
      if (take(robust, value, extra)) return result(value);
      continue;
    }
    if ((value & FUTEX_WAITERS) == 0 &&
        !robust.word.compare_exchange_strong(value, value | FUTEX_WAITERS, std::memory_order_relaxed)) {
      continue;
    }
    if (futex(robust.word, FUTEX_WAIT, value | FUTEX_WAITERS, &kPatience) != 0 && errno == ETIMEDOUT) {
      impatience.timed_out(value & FUTEX_TID_MASK);
    } else {
      impatience.woken();
    }
    extra = FUTEX_WAITERS;
    value = robust.word.load(std::memory_order_relaxed);
  }
}

void unlock(RobustLock& robust) noexcept {
  // Death between the two lines is the kernel's case "pending, word is zero": it wakes a waiter for us.
  const std::uint32_t before = robust.word.exchange(0, std::memory_order_release);
  if ((before & FUTEX_WAITERS) != 0) futex(robust.word, FUTEX_WAKE, 1);
  set_pending(nullptr);
}

}  // namespace bulkhead::ipc
