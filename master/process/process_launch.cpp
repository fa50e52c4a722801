#include "master/process/process_launch.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "master/process/confinement.h"
#include "master/sandbox/filter.h"

namespace bulkhead::process {

namespace {

constexpr int kFirstFree = kNotifyFd + 1;

}  // namespace

void Launch::place(sys::Fd fd, int to) {
  request.descriptors.push_back({fd.get(), to});
  ends.push_back(std::move(fd));
}

sys::Result<Launch> prepare_launch(const config::Process& process, std::vector<std::string> environment) {
  sys::Fd null(open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!null) return sys::Error{"open", "/dev/null", errno};
  auto confinement = confinement_of(process.child);
  if (!confinement) return confinement.error();
  Launch launch;
  SpawnRequest& request = launch.request;
  request.path = process.argv.front();
  request.argv = process.argv;
  if (!process.arg0.empty()) request.argv.front() = process.arg0;
  request.environment = std::move(environment);
  if (process.ready == config::Ready::sd_notify && process.watchdog) request.pid_variable = "WATCHDOG_PID";
  request.confinement = *confinement;
  request.filter = sandbox::compile_whole(process.child.sandbox);
  request.files = process.child.sandbox.files;
  request.ports = process.child.sandbox.ports;
  request.root = process.child.chroot;
  request.directory = process.child.chdir;
  request.kills_group = process.child.kill_mode == config::KillMode::group;
  request.parent_death_signal = process.stop_signal;
  launch.place(std::move(null), 0);
  return launch;
}

sys::Result<Pipe> make_pipe(const char* purpose) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return sys::Error{"pipe", purpose, errno};
  Pipe pipe{sys::Fd(ends[0]), sys::Fd(ends[1])};
  if (pipe.write.get() < kFirstFree) {
    // spawn() distinguishes the child's descriptors from the master's by their numbers.
    pipe.write = sys::Fd(fcntl(pipe.write.get(), F_DUPFD_CLOEXEC, kFirstFree));
    if (!pipe.write) return sys::Error{"pipe", purpose, errno};
  }
  return pipe;
}

}  // namespace bulkhead::process
