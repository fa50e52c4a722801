// A lock in shared memory that survives its holder: futex(2) with the kernel's robust list (get_robust_list(2),
// Documentation/locking/robust-futex-ABI.rst). If the holder is killed, at any instruction, the next holder learns of
// it and repairs the data that the lock guards.
//
// Not a robust pthread mutex: glibc keeps list pointers inside the mutex and follows them on unlock, and here the
// memory is shared with processes that do not trust one another. Here the shared memory holds one word and nothing of
// it is ever used as a pointer: a process holds at most one such lock at a time, so the kernel's `list_op_pending`,
// which lives in private memory, names it for as long as it is held.
#pragma once

#include "worker/ipc/table_layout.h"

namespace bulkhead::ipc {

enum class Locked { yes, after_death };

// Call once per process, before its first lock, and again after fork. Replaces glibc's own robust list of this thread:
// a process that calls this must not use robust pthread mutexes.
void register_robust_list() noexcept;

// `handler`, which does not return, is called when lock() has waited for a second and nobody let go: what another
// process has written there may be anything. Without one, lock() waits for as long as it takes.
void call_when_stuck(void (*handler)()) noexcept;

// Blocks until the lock is held: yes, or after_death when the last holder died with it.
[[nodiscard]] Locked lock(RobustLock& robust) noexcept;
void unlock(RobustLock& robust) noexcept;

}  // namespace bulkhead::ipc
