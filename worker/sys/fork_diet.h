// What a fork copies, it pays for twice: page tables then, and a fault for every page that either side writes after.
// The worker's own objects are of no use to a connection child, so they stay out of it.
#pragma once

namespace bulkhead::sys {

// From now on children of fork and clone have no heap (MADV_DONTFORK, madvise(2)): in them malloc, and any pointer to
// what was allocated so far, faults. Thread-local storage, which a static program keeps at the start of its heap,
// stays. For a process that forks children that exec, or that need nothing but their stack. Does nothing where the heap
// is not brk's.
void keep_heap_from_children() noexcept;

// The same for the stack of the main thread, which must be the one that calls. Children must begin on a stack of their
// own (worker/sys/clone.h). The arguments, which proc(5) shows as the process's title, lie above it and stay.
void keep_stack_from_children() noexcept;

}  // namespace bulkhead::sys
