// Exits before any other process can look at it: no libc, no start-up, one system call.
#include <sys/syscall.h>

__attribute__((noreturn, used)) void _start(void) {
#if defined(__x86_64__)
  __asm__ volatile("syscall" : : "a"(SYS_exit_group), "D"(0) : "rcx", "r11", "memory");
#elif defined(__aarch64__)
  register long number __asm__("x8") = SYS_exit_group;
  register long status __asm__("x0") = 0;
  __asm__ volatile("svc 0" : : "r"(number), "r"(status) : "memory");
#else
#error "say here how a process exits on this machine"
#endif
  __builtin_unreachable();
}
