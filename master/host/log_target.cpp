#include "master/host/log_target.h"

#include <fcntl.h>
#include <paths.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace bulkhead::host {

namespace {

constexpr int kAppend = O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY;

sys::Result<LogTarget> open_stderr() {
  LogTarget out;
  out.handlers.reset(fcntl(2, F_DUPFD_CLOEXEC, 3));
  if (!out.handlers) return sys::Error{"dup", "stderr", errno};
  out.lines.reset(open("/proc/self/fd/2", kAppend | O_NONBLOCK));
  // A socket cannot be opened, and another user's pipe may not be readable; the log then polls before it writes.
  if (!out.lines) out.lines.reset(fcntl(2, F_DUPFD_CLOEXEC, 3));
  if (!out.lines) return sys::Error{"dup", "stderr", errno};
  return out;
}

sys::Result<LogTarget> connect_to(const char* path) {
  LogTarget out;
  out.lines.reset(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  if (!out.lines || connect(out.lines.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return sys::Error{"open log", path, errno};
  }
  out.handlers.reset(open(_PATH_DEVNULL, O_WRONLY | O_CLOEXEC));
  if (!out.handlers) return sys::Error{"open", _PATH_DEVNULL, errno};
  return out;
}

}  // namespace

log::Transport transport_of(const std::string& target) {
  if (target == "syslog") return log::Transport::syslog;
  return target == "journald" ? log::Transport::journald : log::Transport::stream;
}

void configure_log(const config::Log& config, int fd) {
  static std::string identity;  // syslog keeps the pointer
  identity = config.identity;
  log::configure({fd, static_cast<log::Format>(config.format), static_cast<log::Level>(config.level), "bulkheadd",
                  transport_of(config.target), config.facility, identity.c_str()});
}

sys::Result<LogTarget> open_log_target(const std::string& target) {
  if (target == "stderr") return open_stderr();
  if (target == "syslog") return connect_to(_PATH_LOG);
  if (target == "journald") return connect_to("/run/systemd/journal/socket");
  LogTarget out;
  out.lines.reset(open(target.c_str(), kAppend | O_NONBLOCK | O_CREAT | O_NOFOLLOW, 0640));
  if (!out.lines) return sys::Error{"open log", target, errno};
  out.handlers.reset(open(target.c_str(), kAppend | O_NOFOLLOW));
  if (!out.handlers) return sys::Error{"open log", target, errno};
  return out;
}

}  // namespace bulkhead::host
