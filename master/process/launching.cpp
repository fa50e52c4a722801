// How Processes launches a process child (processes.h): every descriptor is made before the fork.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

#include "master/host/log_target.h"
#include "master/process/child_environment.h"
#include "master/process/credentials.h"
#include "master/process/notify_socket.h"
#include "master/process/process_launch.h"
#include "master/process/processes.h"

namespace bulkhead::process {

namespace {

using config::Ready;

// Lets a child of another user open /dev/stdout and /dev/stderr, which opens the pipe again.
void give_to(const config::Process& config, const ChildOutput::ChildEnds& ends) {
  const auto& who = config.child.identity;
  if (!who || geteuid() != 0) return;
  for (const int fd : {ends.out.get(), ends.error.get()}) {
    if (fd < 0) continue;
    (void)!::fchown(fd, who->uid, who->gid);
  }
}

}  // namespace

sys::Result<pid_t> Processes::launch(ProcessChild& child) {
  if (auto error = provide(child.path, child.config.child)) return *error;
  auto report = make_pipe("for the report of a start");
  if (!report) return report.error();
  auto notify = open_notify(child);
  if (!notify) return notify.error();
  config::Process config = child.config;
  config.child = with_credentials(child.path, config.child);
  auto launch = prepare_launch(config, lines_of(process_environment(config, notify->address, ::getenv)));
  if (!launch) return launch.error();
  if (!child.config.pre_start.empty()) {
    launch->request.first = {child.config.pre_start, lines_of(command_environment(config, ::getenv))};
  }
  if (auto error = place_output(child, *launch)) return *error;
  if (notify->fd) launch->place(std::move(notify->fd), kNotifyFd);
  launch->request.report = report->write.get();
  auto watched = WatchedFd::attempt(loop_, std::move(report->read), [this, &child] { read_report(child); });
  if (!watched) return watched.error();
  child.report = std::move(*watched);
  return system_.begin(launch->request);
}

// Both streams, whatever they lead to. What cannot be inherited is logged.
std::optional<sys::Error> Processes::place_output(ProcessChild& child, Launch& launch) {
  auto out = other_end(child.config.output);
  if (!out) return out.error();
  auto error = other_end(child.config.error_output);
  if (!error) return error.error();
  auto ends = child.output->open({!*out, !*error, child.config.output.path, child.config.error_output.path});
  if (!ends) return ends.error();
  give_to(child.config, *ends);
  launch.place(std::move(*out ? *out : ends->out), 1);
  launch.place(std::move(*error ? *error : ends->error), 2);
  return std::nullopt;
}

// The end of a stream that the master does not read; empty: it does.
sys::Result<sys::Fd> Processes::other_end(const config::Output& output) const {
  if (output.kind == config::Output::Kind::inherit) return host::open_again(error_fd_);
  if (output.kind != config::Output::Kind::null) return sys::Fd();
  sys::Fd end(open("/dev/null", O_WRONLY | O_CLOEXEC));
  if (!end) return sys::Error{"open", "/dev/null", errno};
  return end;
}

sys::Result<Processes::NotifyEnd> Processes::open_notify(ProcessChild& child) {
  NotifyEnd end;
  sys::Fd ours;
  if (child.config.ready == Ready::notify_fd) {
    auto pipe = make_pipe("for readiness");
    if (!pipe) return pipe.error();
    ours = std::move(pipe->read);
    end.fd = std::move(pipe->write);
  } else if (child.config.ready == Ready::sd_notify) {
    auto socket = open_notify_socket();
    if (!socket) return socket.error();
    ours = std::move(socket->fd);
    end.address = std::move(socket->address);
  }
  if (ours) {
    auto watched = WatchedFd::attempt(loop_, std::move(ours), [this, &child] { read_notify(child); });
    if (!watched) return watched.error();
    child.notify = std::move(*watched);
  }
  return end;
}

}  // namespace bulkhead::process
