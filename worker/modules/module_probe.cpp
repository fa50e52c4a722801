#include "worker/modules/module_probe.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "worker/modules/module_library.h"
#include "worker/modules/process_state.h"
#include "worker/sys/fd.h"
#include "worker/sys/signal.h"
#include "worker/sys/signal_name.h"

namespace bulkhead::modules {

namespace {

constexpr std::string_view kFine = "fine";

void report(int fd, std::string_view verdict) {
  (void)!::write(fd, verdict.data(), verdict.size());
}

// exit(3) would run functions that this program has registered, so the process ends here.
void on_exit_of_constructor(int status, void* fd) {
  report(*static_cast<int*>(fd), "called exit(" + std::to_string(status) + ")");
  _exit(0);
}

[[noreturn]] void rehearse(const std::string& path, int fd, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(0);
  setsid();
  // Processes that a constructor forks, and their children, stay ours.
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  static int report_fd = fd;
  on_exit(on_exit_of_constructor, &report_fd);
  const ProcessState before = ProcessState::capture();
  const ModuleOrProblem loaded = load_module(path);
  std::string verdict;
  if (const auto* problem = std::get_if<std::string>(&loaded)) {
    verdict = "failed: " + *problem;
  } else {
    verdict = ProcessState::capture().change_since(before, ProcessState::Descriptors::compare);
  }
  report(fd, verdict.empty() ? kFine : std::string_view(verdict));
  _exit(0);
}

std::string read_verdict(int fd) {
  char text[512];
  const ssize_t got = ::read(fd, text, sizeof text);
  return got > 0 ? std::string(text, static_cast<std::size_t>(got)) : std::string();
}

bool ended_in_time(pid_t pid) {
  const sys::Fd process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  pollfd wait{process.get(), POLLIN, 0};
  return process && ::poll(&wait, 1, static_cast<int>(kLoadLimit.count())) == 1;
}

std::string end_text(int status) {
  if (WIFSIGNALED(status)) return std::string("was killed by ") + sys::signal_name(WTERMSIG(status));
  return "ended the process with exit status " + std::to_string(WEXITSTATUS(status));
}

}  // namespace

std::string probe_module(const std::string& path) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return std::string("failed: ") + strerrordesc_np(errno);
  const sys::Fd verdict_end(ends[0]);
  sys::Fd report_end(ends[1]);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) rehearse(path, report_end.get(), parent);
  if (pid < 0) return std::string("failed: ") + strerrordesc_np(errno);
  report_end.reset();
  const bool in_time = ended_in_time(pid);
  if (!in_time) kill(pid, SIGKILL);
  siginfo_t info{};
  while (waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT) != 0 && errno == EINTR) {
  }
  sys::signal_group(pid, SIGKILL);  // the zombie still holds the number
  int status = 0;
  waitpid(pid, &status, 0);
  const std::string verdict = read_verdict(verdict_end.get());
  if (verdict == kFine) return "";
  if (!verdict.empty()) return verdict;
  return in_time ? end_text(status) : "took longer than " + std::to_string(kLoadLimit.count() / 1000) + " seconds";
}

}  // namespace bulkhead::modules
