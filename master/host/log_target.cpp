#include "master/host/log_target.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <paths.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "master/config/paths.h"

namespace bulkhead::host {

namespace {

constexpr int kAppend = O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;

std::string own_path(int fd) {
  return "/proc/self/fd/" + std::to_string(fd);
}

// Opened without waiting, and blocking only afterwards: opening a FIFO waits for its reader (fifo(7)).
sys::Fd opened_blocking(sys::Fd fd) {
  if (fd && fcntl(fd.get(), F_SETFL, O_APPEND) != 0) fd.reset();
  return fd;
}

void append_from_now_on(int fd) {
  struct stat status {};
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) return;
  const int flags = fcntl(fd, F_GETFL);
  if (flags >= 0) (void)fcntl(fd, F_SETFL, flags | O_APPEND);
}

sys::Result<LogTarget> open_stderr() {
  LogTarget out;
  append_from_now_on(2);
  out.handlers.reset(fcntl(2, F_DUPFD_CLOEXEC, 3));
  if (!out.handlers) return sys::Error{"dup", "stderr", errno};
  out.lines.reset(open(own_path(2).c_str(), kAppend));
  // A socket cannot be opened, and another user's pipe may not be readable; the log then polls before it writes.
  if (!out.lines) out.lines.reset(fcntl(2, F_DUPFD_CLOEXEC, 3));
  if (!out.lines) return sys::Error{"dup", "stderr", errno};
  return out;
}

sys::Result<sys::Fd> connect_to(const char* path) {
  sys::Fd out(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  if (!out || connect(out.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return sys::Error{"open log", path, errno};
  }
  return out;
}

sys::Result<LogTarget> open_log_daemon(const std::string& target) {
  auto lines = connect_to_log_daemon(target);
  if (!lines) return lines.error();
  LogTarget out{std::move(*lines), sys::Fd(open(_PATH_DEVNULL, O_WRONLY | O_CLOEXEC))};
  if (!out.handlers) return sys::Error{"open", _PATH_DEVNULL, errno};
  return out;
}

}  // namespace

sys::Fd open_again(int fd) {
  return opened_blocking(sys::Fd(open(own_path(fd).c_str(), kAppend)));
}

sys::Result<sys::Fd> connect_to_log_daemon(const std::string& target) {
  return connect_to(target == "syslog" ? config::kSyslogSocket : config::kJournalSocket);
}

bool is_journal_stream(int fd, const char* journal_stream) {
  struct stat status {};
  if (journal_stream == nullptr || fstat(fd, &status) != 0) return false;
  return fmt::format("{}:{}", status.st_dev, status.st_ino) == journal_stream;
}

log::Transport transport_of(const std::string& target) {
  if (target == "syslog") return log::Transport::syslog;
  return target == "journald" ? log::Transport::journald : log::Transport::stream;
}

log::Settings log_settings(const config::Log& config, int fd) {
  return {fd,
          config.format,
          config.level,
          "bulkheadd",
          transport_of(config.target),
          config.facility,
          config.identity.c_str(),
          config.addresses,
          config.target == "stderr" && is_journal_stream(fd, std::getenv("JOURNAL_STREAM"))};
}

void configure_log(const config::Log& config, int fd) {
  static config::Log kept;
  kept = config;
  log::configure(log_settings(kept, fd));
}

sys::Result<LogTarget> open_log_target(const std::string& target) {
  if (target == "stderr") return open_stderr();
  if (transport_of(target) != log::Transport::stream) return open_log_daemon(target);
  LogTarget out;
  out.lines.reset(open(target.c_str(), kAppend | O_CREAT | O_NOFOLLOW, 0640));
  if (!out.lines) return sys::Error{"open log", target, errno};
  out.handlers = open_again(out.lines.get());
  if (!out.handlers) return sys::Error{"open log", target, errno};
  return out;
}

}  // namespace bulkhead::host
