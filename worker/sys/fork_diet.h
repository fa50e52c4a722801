// Keeps a fork cheap. A copied page costs twice: its page table entry at the fork, and a fault when either side writes
// to it later. A connection child does not need the worker's own objects, so they are not copied.
#pragma once

namespace bulkhead::sys {

// Afterwards children of fork and clone have no heap (MADV_DONTFORK, madvise(2)): in them malloc, and any pointer to
// what was allocated so far, faults. Thread-local storage, which a static program keeps at the start of its heap,
// stays. For a process that forks children that exec, or that need nothing but their stack. Does nothing where the heap
// is not brk's.
void keep_heap_from_children() noexcept;

// The same for the stack of the main thread, which must be the one that calls. Children must begin on a stack of their
// own (worker/sys/clone.h). The arguments, which proc(5) shows as the process's title, lie above it and stay.
void keep_stack_from_children() noexcept;

}  // namespace bulkhead::sys
