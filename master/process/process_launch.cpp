#include "master/process/process_launch.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <map>
#include <string_view>
#include <utility>

namespace bulkhead::process {

namespace {

constexpr int kFirstFree = kNotifyFd + 1;

// sd_notify(3), sd_listen_fds(3), sd_watchdog_enabled(3): addressed to us, or ours to say.
bool is_between_us_and_our_parent(std::string_view name) {
  static constexpr std::string_view kNames[] = {"NOTIFY_SOCKET", "NOTIFY_FD",  "WATCHDOG_USEC", "WATCHDOG_PID",
                                                "LISTEN_FDS",    "LISTEN_PID", "LISTEN_FDNAMES"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

}  // namespace

std::vector<std::string> child_environment(const config::Process& process, const std::string& notify_address,
                                           const LookUp& look_up) {
  std::map<std::string, std::string> variables;
  for (const std::string& name : process.pass_env) {
    if (is_between_us_and_our_parent(name)) continue;
    if (const char* value = look_up(name.c_str()); value != nullptr) variables[name] = value;
  }
  for (const auto& [name, value] : process.env) variables[name] = value;
  if (process.ready == config::Ready::notify_fd) variables["NOTIFY_FD"] = std::to_string(kNotifyFd);
  if (process.ready == config::Ready::sd_notify) {
    variables["NOTIFY_SOCKET"] = notify_address;
    if (process.watchdog) {
      const auto interval = std::chrono::duration_cast<std::chrono::microseconds>(*process.watchdog);
      variables["WATCHDOG_USEC"] = std::to_string(interval.count());
      variables.erase("WATCHDOG_PID");
    }
  }
  std::vector<std::string> out;
  for (const auto& [name, value] : variables) out.push_back(name + "=" + value);
  return out;
}

void Launch::place(sys::Fd fd, int to) {
  request.descriptors.push_back({fd.get(), to});
  ends.push_back(std::move(fd));
}

sys::Result<Launch> prepare_launch(const config::Process& process, std::vector<std::string> environment) {
  sys::Fd null(open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!null) return sys::Error{"open", "/dev/null", errno};
  Launch launch;
  SpawnRequest& request = launch.request;
  request.argv = process.argv;
  request.environment = std::move(environment);
  if (process.ready == config::Ready::sd_notify && process.watchdog) request.pid_variable = "WATCHDOG_PID";
  request.directory = process.chdir;
  request.parent_death_signal = process.stop_signal;
  if (const auto& who = process.identity) request.credentials = Credentials{who->uid, who->gid, who->groups};
  launch.place(std::move(null), 0);
  return launch;
}

sys::Result<Pipe> make_pipe(const char* purpose) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return sys::Error{"pipe", purpose, errno};
  Pipe pipe{sys::Fd(ends[0]), sys::Fd(ends[1])};
  if (pipe.write.get() < kFirstFree) {
    // spawn() tells a descriptor of the child's from one of ours by its number.
    pipe.write = sys::Fd(fcntl(pipe.write.get(), F_DUPFD_CLOEXEC, kFirstFree));
    if (!pipe.write) return sys::Error{"pipe", purpose, errno};
  }
  return pipe;
}

}  // namespace bulkhead::process
