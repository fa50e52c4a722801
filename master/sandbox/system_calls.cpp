#include "master/sandbox/system_calls.h"

#include <linux/audit.h>
#include <seccomp.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <functional>
#include <map>

namespace bulkhead::sandbox {
namespace {

constexpr std::uint32_t kNoForeign = ~std::uint32_t{0};

#if defined(__x86_64__)
constexpr std::uint32_t kX32 = 0x40000000;  // __X32_SYSCALL_BIT
constexpr std::array kArchitectures{Architecture{AUDIT_ARCH_X86_64, SCMP_ARCH_X86_64, kX32},
                                    Architecture{AUDIT_ARCH_I386, SCMP_ARCH_X86, kNoForeign}};
#elif defined(__aarch64__)
constexpr std::array kArchitectures{Architecture{AUDIT_ARCH_AARCH64, SCMP_ARCH_AARCH64, kNoForeign},
                                    Architecture{AUDIT_ARCH_ARM, SCMP_ARCH_ARM, kNoForeign}};
#else
#error "the sandbox does not know the numbers of this architecture's system calls"
#endif

// clang-format off
constexpr std::array<std::string_view, 69> kNeverCalled{
    "_sysctl", "acct", "add_key", "adjtimex", "afs_syscall", "bdflush", "bpf", "clock_adjtime", "clock_adjtime64",
    "clock_settime", "clock_settime64", "create_module", "delete_module", "fanotify_init", "fanotify_mark",
    "finit_module", "fsconfig", "fsmount", "fsopen", "fspick", "get_kernel_syms", "init_module", "ioperm", "iopl",
    "kcmp", "kexec_file_load", "kexec_load", "keyctl", "lookup_dcookie", "mount", "mount_setattr", "move_mount",
    "nfsservctl", "open_by_handle_at", "open_tree", "pciconfig_iobase", "pciconfig_read", "pciconfig_write",
    "perf_event_open", "pidfd_getfd", "pivot_root", "process_madvise", "process_vm_readv", "process_vm_writev",
    "ptrace", "query_module", "quotactl", "quotactl_fd", "reboot", "request_key", "security", "setdomainname",
    "sethostname", "setns", "settimeofday", "stime", "swapoff", "swapon", "sysfs", "syslog", "umount", "umount2",
    "uselib", "userfaultfd", "ustat", "vhangup", "vm86", "vm86old", "vserver",
};
// Without what gives a process another user, root, namespace or scheduling class, and without io_uring, whose requests no
// filter sees.
constexpr std::array<std::string_view, 338> kCalledByServers{
    "_llseek", "_newselect", "accept", "accept4", "access", "alarm", "arch_prctl", "arm_fadvise64_64", "bind", "brk",
    "cachestat", "capget", "chdir", "chmod", "chown", "clock_getres", "clock_getres_time64", "clock_gettime",
    "clock_gettime64", "clock_nanosleep", "clock_nanosleep_time64", "clone", "close", "close_range", "connect",
    "copy_file_range", "creat", "dup", "dup2", "dup3", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_ctl_old",
    "epoll_pwait", "epoll_pwait2", "epoll_wait", "epoll_wait_old", "eventfd", "eventfd2", "execve", "execveat",
    "exit", "exit_group", "faccessat", "faccessat2", "fadvise64", "fadvise64_64", "fallocate", "fchdir", "fchmod",
    "fchmodat", "fchmodat2", "fchown", "fchownat", "fcntl", "fcntl64", "fdatasync", "fgetxattr", "flistxattr",
    "flock", "fork", "fremovexattr", "fsetxattr", "fstat", "fstat64", "fstatat64", "fstatfs", "fstatfs64", "fsync",
    "ftruncate", "ftruncate64", "futex", "futex_requeue", "futex_time64", "futex_wait", "futex_waitv", "futex_wake",
    "futimesat", "get_mempolicy", "get_robust_list", "get_thread_area", "getcpu", "getcwd", "getdents", "getdents64",
    "getegid", "getegid32", "geteuid", "geteuid32", "getgid", "getgid32", "getgroups", "getgroups32", "getitimer",
    "getpeername", "getpgid", "getpgrp", "getpid", "getppid", "getpriority", "getrandom", "getresgid", "getresgid32",
    "getresuid", "getresuid32", "getrlimit", "getrusage", "getsid", "getsockname", "getsockopt", "gettid",
    "gettimeofday", "getuid", "getuid32", "getxattr", "inotify_add_watch", "inotify_init", "inotify_init1",
    "inotify_rm_watch", "io_cancel", "io_destroy", "io_getevents", "io_pgetevents", "io_pgetevents_time64",
    "io_setup", "io_submit", "ioctl", "ioprio_get", "ipc", "kill", "landlock_add_rule", "landlock_create_ruleset",
    "landlock_restrict_self", "lchown", "lgetxattr", "link", "linkat", "listen", "listxattr", "llistxattr",
    "lremovexattr", "lseek", "lsetxattr", "lstat", "lstat64", "madvise", "map_shadow_stack", "mbind", "membarrier",
    "memfd_create", "mkdir", "mkdirat", "mlock", "mlock2", "mlockall", "mmap", "mmap2", "mprotect", "mq_getsetattr",
    "mq_notify", "mq_open", "mq_timedreceive", "mq_timedreceive_time64", "mq_timedsend", "mq_timedsend_time64",
    "mq_unlink", "mremap", "msgctl", "msgget", "msgrcv", "msgsnd", "msync", "munlock", "munlockall",
    "munmap", "nanosleep", "newfstatat", "oldfstat", "oldlstat", "oldolduname", "oldstat", "olduname", "open",
    "openat", "openat2", "pause", "pidfd_open", "pidfd_send_signal", "pipe", "pipe2", "poll", "ppoll", "ppoll_time64",
    "prctl", "pread64", "preadv", "preadv2", "prlimit64", "pselect6", "pselect6_time64", "pwrite64", "pwritev",
    "pwritev2", "read", "readahead", "readdir", "readlink", "readlinkat", "readv", "recv", "recvfrom", "recvmmsg",
    "recvmmsg_time64", "recvmsg", "removexattr", "rename", "renameat", "renameat2", "restart_syscall", "rmdir",
    "rseq", "rt_sigaction", "rt_sigpending", "rt_sigprocmask", "rt_sigqueueinfo", "rt_sigreturn", "rt_sigsuspend",
    "rt_sigtimedwait", "rt_sigtimedwait_time64", "rt_tgsigqueueinfo", "sched_get_priority_max",
    "sched_get_priority_min", "sched_getaffinity", "sched_getattr", "sched_getparam", "sched_getscheduler",
    "sched_rr_get_interval", "sched_rr_get_interval_time64", "sched_setaffinity", "sched_yield", "seccomp", "select",
    "semctl", "semget", "semop", "semtimedop", "semtimedop_time64", "send", "sendfile", "sendfile64", "sendmmsg",
    "sendmsg", "sendto", "set_mempolicy", "set_robust_list", "set_thread_area", "set_tid_address", "set_tls",
    "setgid", "setgroups", "setitimer", "setpgid", "setpriority", "setregid", "setresgid", "setresuid", "setreuid",
    "setrlimit", "setsid", "setsockopt", "setuid", "setxattr", "shmat", "shmctl", "shmdt", "shmget", "shutdown",
    "sigaction", "sigaltstack", "signal", "signalfd", "signalfd4", "sigpending", "sigprocmask", "sigreturn",
    "sigsuspend", "socket", "socketcall", "socketpair", "splice", "stat", "stat64", "statfs", "statfs64", "statx",
    "symlink", "symlinkat", "sync", "sync_file_range", "sync_file_range2", "syncfs", "sysinfo", "tee", "tgkill",
    "time", "timer_create", "timer_delete", "timer_getoverrun", "timer_gettime", "timer_gettime64", "timer_settime",
    "timer_settime64", "timerfd_create", "timerfd_gettime", "timerfd_gettime64", "timerfd_settime",
    "timerfd_settime64", "times", "tkill", "truncate", "truncate64", "ugetrlimit", "umask", "uname", "unlink",
    "unlinkat", "utime", "utimensat", "utimensat_time64", "utimes", "vfork", "vmsplice", "wait4", "waitid", "waitpid",
    "write", "writev",
};
// clang-format on

// All numbers are below this one, on each architecture.
constexpr int kMostNumbers = 1024;

using Numbers = std::map<std::string, std::uint32_t, std::less<>>;

// By number, because by name the library answers some calls of 32-bit programs (socket, shmat) with the one that they
// go through in old programs, although they have numbers of their own since Linux 4.3.
Numbers numbers_on(const Architecture& architecture) {
  Numbers out;
  for (int number = 0; number < kMostNumbers; ++number) {
    char* const name = seccomp_syscall_resolve_num_arch(architecture.seccomp, number);
    if (name != nullptr) out.emplace(name, static_cast<std::uint32_t>(number));
    std::free(name);
  }
  return out;
}

const Numbers& numbers_of(const Architecture& architecture) {
  static const std::array<Numbers, kArchitectures.size()> numbers{numbers_on(kArchitectures[0]),
                                                                  numbers_on(kArchitectures[1])};
  return numbers[static_cast<std::size_t>(&architecture - kArchitectures.data())];
}

std::vector<std::string> names_of_all() {
  std::vector<std::string> out;
  for (const Architecture& architecture : kArchitectures) {
    for (const auto& [name, number] : numbers_of(architecture)) out.push_back(name);
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

}  // namespace

std::span<const Architecture> architectures() {
  return kArchitectures;
}

bool is_system_call(std::string_view name) {
  return std::any_of(kArchitectures.begin(), kArchitectures.end(),
                     [&](const Architecture& one) { return number_of(one, name).has_value(); });
}

std::optional<std::uint32_t> number_of(const Architecture& architecture, std::string_view name) {
  const Numbers& numbers = numbers_of(architecture);
  const auto found = numbers.find(name);
  return found == numbers.end() ? std::nullopt : std::optional(found->second);
}

const std::vector<std::string>& all_system_calls() {
  static const std::vector<std::string> names = names_of_all();
  return names;
}

std::span<const std::string_view> never_called() {
  return kNeverCalled;
}

std::span<const std::string_view> called_by_servers() {
  return kCalledByServers;
}

}  // namespace bulkhead::sandbox
