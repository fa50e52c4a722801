#include "master/host/detach.h"

#include <fcntl.h>
#include <paths.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace bulkhead::host {

namespace {

constexpr int kDiedEarly = 71;

[[noreturn]] void wait_for_report(int report) {
  int status = kDiedEarly;
  ssize_t got = 0;
  do {
    got = ::read(report, &status, sizeof status);
  } while (got < 0 && errno == EINTR);
  _exit(got == static_cast<ssize_t>(sizeof status) ? status : kDiedEarly);
}

void nothing_on_standard_descriptors() {
  const int null = open(_PATH_DEVNULL, O_RDWR);
  for (int fd = 0; fd <= 2 && null >= 0; ++fd) dup2(null, fd);
  if (null > 2) close(null);
}

}  // namespace

sys::Result<Detached> Detached::detach() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return sys::Error{"pipe", "detach", errno};
  sys::Fd read_end(ends[0]);
  Detached out;
  out.report_.reset(ends[1]);
  const pid_t first = fork();
  if (first < 0) return sys::Error{"fork", "detach", errno};
  if (first > 0) {
    out.report_.reset();
    wait_for_report(read_end.get());
  }
  read_end.reset();
  setsid();
  // The leader of a session could get a terminal again by opening one; its child cannot (daemon(7), step 7).
  const pid_t second = fork();
  if (second != 0) _exit(second < 0 ? kDiedEarly : 0);
  umask(022);
  if (chdir("/") != 0) _exit(kDiedEarly);
  out.terminal_.reset(fcntl(2, F_DUPFD_CLOEXEC, 3));
  nothing_on_standard_descriptors();
  return out;
}

void Detached::report(int status) noexcept {
  if (report_) (void)!::write(report_.get(), &status, sizeof status);
  report_.reset();
  terminal_.reset();
}

}  // namespace bulkhead::host
