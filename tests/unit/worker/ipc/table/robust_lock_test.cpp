#include "worker/ipc/table/robust_lock.h"

#include <linux/futex.h>
#include <sys/mman.h>

#include <catch2/catch.hpp>

using namespace bulkhead::ipc;

// The kernel's part at the death of a holder is tested with real processes in tests/e2e; these are the values that it
// leaves.
TEST_CASE("a free lock can be taken and released") {
  register_robust_list();
  RobustLock robust;
  CHECK(lock(robust) == Locked::yes);
  unlock(robust);
  CHECK(robust.word == 0);
  CHECK(lock(robust) == Locked::yes);
  unlock(robust);
}

TEST_CASE("a lock whose holder died is taken and reports the death, with or without waiters") {
  register_robust_list();
  constexpr std::uint32_t kDied = FUTEX_OWNER_DIED;
  for (const std::uint32_t left : {kDied, kDied | FUTEX_WAITERS}) {
    RobustLock robust;
    robust.word = left;
    CHECK(lock(robust) == Locked::after_death);
    unlock(robust);
    CHECK(robust.word == 0);
    robust.word = left;
    CHECK(lock(robust) == Locked::after_death);
    unlock(robust);
  }
}
