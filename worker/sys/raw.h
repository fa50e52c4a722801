// System calls without the C library around them, for the few that run in every connection child. Two reasons, both
// measured: each library page that a fresh child runs through is a page fault of its own (the page tables of program
// text are not copied at fork), and errno lives in a page that would have to be copied. Results are the kernel's: a
// negative number is -errno. syscall(2) describes the registers.
#pragma once

#include <sys/syscall.h>

#if !defined(__x86_64__) && !defined(__aarch64__)
#include <unistd.h>

#include <cerrno>
#endif

namespace bulkhead::sys {

[[gnu::always_inline]] inline long raw(long number, long a = 0, long b = 0, long c = 0, long d = 0,
                                       long e = 0) noexcept {
#if defined(__x86_64__)
  long result = number;
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  asm volatile("syscall" : "+a"(result) : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8) : "rcx", "r11", "memory");
  return result;
#elif defined(__aarch64__)
  register long x8 asm("x8") = number;
  register long x0 asm("x0") = a;
  register long x1 asm("x1") = b;
  register long x2 asm("x2") = c;
  register long x3 asm("x3") = d;
  register long x4 asm("x4") = e;
  asm volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
  return x0;
#else
  const long result = ::syscall(number, a, b, c, d, e);
  return result < 0 ? -errno : result;
#endif
}

template <class T>
[[gnu::always_inline]] inline long raw_pointer(T* pointer) noexcept {
  return reinterpret_cast<long>(pointer);
}

[[noreturn, gnu::always_inline]] inline void raw_exit(int status) noexcept {
  for (;;) raw(SYS_exit_group, status);
}

}  // namespace bulkhead::sys
