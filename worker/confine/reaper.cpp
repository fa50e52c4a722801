#include "worker/confine/reaper.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <csignal>

#include "worker/confine/spaces.h"
#include "worker/sys/raw.h"
#include "worker/sys/signal.h"
#include "worker/sys/title.h"

namespace bulkhead::confine {

namespace {

using ipc::Failure;
using ipc::Stage;

constexpr int kLost = 127;

// Until the program runs, signals wait.
void block_all() noexcept {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
}

// The next signal of this process; 0: none yet. si_pid is not looked at, because it is 0 across namespaces.
int next_signal() noexcept {
  sigset_t all;
  sigfillset(&all);
  const int signal = sigwaitinfo(&all, nullptr);
  return signal < 0 ? 0 : signal;
}

// Neither the connection nor anything of the worker stays open.
void close_all_but(int fd) noexcept {
  if (fd > 0) close_range(0, static_cast<unsigned>(fd) - 1, 0);
  close_range(static_cast<unsigned>(fd) + 1, UINT_MAX, 0);
}

std::uint64_t still_needed(const Inside& inside) noexcept {
  return inside.gives_up ? 0 : std::uint64_t{1} << CAP_KILL;
}

[[noreturn]] void end_as(int status) noexcept {
  if (WIFEXITED(status)) _exit(WEXITSTATUS(status));
  const int signal = WTERMSIG(status);
  const rlimit no_core{0, 0};  // the program's own core, if it left one, is written already
  setrlimit(RLIMIT_CORE, &no_core);
  ::signal(signal, SIG_DFL);  // a sanitizer may have its own
  kill(getpid(), signal);
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, signal);
  sigprocmask(SIG_UNBLOCK, &one, nullptr);
  _exit(128 + signal);
}

// Number 1. Whatever happens to it, the kernel ends all the others first.
[[noreturn]] void reap(const Inside& inside, pid_t program, int report) noexcept {
  for (;;) {
    const int signal = next_signal();
    if (signal == SIGCHLD) {
      int status = 0;
      for (pid_t pid = 0; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        if (pid != program) continue;
        (void)!write(report, &status, sizeof status);
        _exit(0);
      }
    } else if (signal != 0 && (!inside.kill_group || kill(-program, signal) != 0)) {
      kill(program, signal);
    }
  }
}

// The process outside may have died before its death was to be a signal. Its end of the pipe tells.
void die_with_outside(int report) noexcept {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  pollfd watched{report, 0, 0};
  if (poll(&watched, 1, 0) > 0 && (watched.revents & POLLERR) != 0) _exit(kLost);
}

[[noreturn]] void run_program(const Inside& inside) noexcept {
  setpgid(0, 0);
  if (inside.gives_up) {
    if (const Failure failure = give_up_spaces()) inside.fail(inside.argument, failure);
  }
  inside.program(inside.argument);
  _exit(kLost);
}

[[noreturn]] void run_reaper(const Inside& inside, int report) noexcept {
  die_with_outside(report);
  setpgid(0, 0);
  if (const Failure failure = enter_spaces(inside.spaces, inside.founded, inside.root))
    inside.fail(inside.argument, failure);
  const pid_t program = _Fork();
  if (program == 0) run_program(inside);
  if (program < 0) inside.fail(inside.argument, {Stage::namespaces, errno});
  setpgid(program, program);
  close_all_but(report);
  if (keep_only(still_needed(inside))) _exit(kLost);
  reap(inside, program, report);
}

[[noreturn]] void wait_outside(pid_t reaper, int reports) noexcept {
  int status = SIGKILL;  // where the reaper was killed
  for (;;) {
    const int signal = next_signal();
    if (signal == SIGCHLD) {
      if (waitpid(reaper, nullptr, WNOHANG) != reaper) continue;
      (void)!read(reports, &status, sizeof status);
      end_as(status);
    }
    if (signal != 0) kill(reaper, signal);
  }
}

}  // namespace

void run_inside(const Inside& inside) noexcept {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) inside.fail(inside.argument, {Stage::descriptors, errno});
  block_all();
  prctl(PR_SET_DUMPABLE, 0);
  sys::Title::set(inside.title);
  if (unshare(CLONE_NEWPID) != 0) inside.fail(inside.argument, {Stage::namespaces, errno});
  const pid_t reaper = _Fork();
  if (reaper == 0) {
    close(ends[0]);
    run_reaper(inside, ends[1]);
  }
  if (reaper < 0) inside.fail(inside.argument, {Stage::namespaces, errno});
  close_all_but(ends[0]);
  if (keep_only(still_needed(inside))) _exit(kLost);
  wait_outside(reaper, ends[0]);
}

Failure keep_only(std::uint64_t capabilities) noexcept {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct now[2] = {};
  long result = sys::raw(SYS_capget, sys::raw_pointer(&header), sys::raw_pointer(now));
  for (std::uint32_t half = 0; half < 2; ++half) {
    now[half].permitted &= static_cast<std::uint32_t>(capabilities >> 32 * half);
    now[half].effective = now[half].permitted;
    now[half].inheritable = 0;
  }
  if (result == 0) result = sys::raw(SYS_capset, sys::raw_pointer(&header), sys::raw_pointer(now));
  return result < 0 ? Failure{Stage::privileges, static_cast<int>(-result)} : Failure{};
}

Failure try_pids(std::uint32_t spaces) noexcept {
  if (unshare(CLONE_NEWPID) != 0) return {Stage::namespaces, errno};
  const pid_t pid = _Fork();
  if (pid < 0) return {Stage::namespaces, errno};
  if (pid == 0) _exit(enter_spaces(spaces, true, "").error);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (status == 0) return {};
  return {Stage::mounts, WIFEXITED(status) ? WEXITSTATUS(status) : EIO};
}

}  // namespace bulkhead::confine
