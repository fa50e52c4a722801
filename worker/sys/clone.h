// clone(2) for a child that gets a copy of our memory, as with fork, but begins on a stack of its own. So the parent's
// stack need not be in that copy at all (worker/sys/fork_diet.h), and the parent does not pay a page fault for every
// page of it that it writes after each fork. No atfork handler runs; no page of the C library is touched in the child.
#pragma once

#include <csignal>

#if defined(__x86_64__)
#include <sys/syscall.h>
#endif
#include <sched.h>

#include <cerrno>
#include <cstdint>

#include "worker/sys/raw.h"

namespace bulkhead::sys {

// The child calls `entry(argument)` on the stack that ends at `stack_end` (a multiple of 16), and must never return
// from it. The kernel writes the pid to `*pid` before the child exists (CLONE_PARENT_SETTID). Returns the pid, or
// -errno.
[[gnu::always_inline]] inline long clone_onto(void* stack_end, void (*entry)(void*), void* argument,
                                              std::int32_t* pid) noexcept {
  constexpr long kFlags = CLONE_PARENT_SETTID | SIGCHLD;
#if defined(__x86_64__)
  long result = SYS_clone;
  register long no_child_tid asm("r10") = 0;
  register long no_tls asm("r8") = 0;
  asm volatile(
      "syscall\n\t"
      "test %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "mov %[entry], %%rax\n\t"  // either of the two may have been given any register, rbp too
      "mov %[argument], %%rdi\n\t"
      "xor %%ebp, %%ebp\n\t"  // the outermost frame, for unwinders
      "call *%%rax\n\t"
      "ud2\n"
      "1:"
      : "+a"(result)
      : "D"(kFlags), "S"(stack_end), "d"(pid), "r"(no_child_tid),
        "r"(no_tls), [entry] "r"(entry), [argument] "r"(argument)
      : "rcx", "r11", "memory");
  return result;
#else
  struct Call {
    void (*entry)(void*);
    void* argument;
  };
  auto* const call = static_cast<Call*>(stack_end) - 1;
  *call = {entry, argument};
  const auto begin = [](void* what) {
    const Call wanted = *static_cast<Call*>(what);
    wanted.entry(wanted.argument);
    return 0;
  };
  const int child = clone(begin, call, kFlags, call, pid);
  return child < 0 ? -errno : child;
#endif
}

}  // namespace bulkhead::sys
