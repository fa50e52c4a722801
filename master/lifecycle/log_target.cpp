#include "master/lifecycle/log_target.h"

#include <fcntl.h>

#include <cerrno>
#include <utility>

namespace bulkhead::lifecycle {

namespace {

constexpr int kAppend = O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY;

sys::Result<LogTarget> open_stderr() {
  LogTarget out;
  out.handlers.reset(fcntl(2, F_DUPFD_CLOEXEC, 3));
  if (!out.handlers) return sys::Error{"dup", "stderr", errno};
  out.lines.reset(open("/proc/self/fd/2", kAppend | O_NONBLOCK));
  // A socket cannot be opened, another user's pipe may not be: the log then asks before it writes.
  if (!out.lines) out.lines.reset(fcntl(2, F_DUPFD_CLOEXEC, 3));
  if (!out.lines) return sys::Error{"dup", "stderr", errno};
  return out;
}

}  // namespace

sys::Result<LogTarget> open_log_target(const std::string& target) {
  if (target == "stderr") return open_stderr();
  LogTarget out;
  out.lines.reset(open(target.c_str(), kAppend | O_NONBLOCK | O_CREAT | O_NOFOLLOW, 0640));
  if (!out.lines) return sys::Error{"open log", target, errno};
  out.handlers.reset(open(target.c_str(), kAppend | O_NOFOLLOW));
  if (!out.handlers) return sys::Error{"open log", target, errno};
  return out;
}

}  // namespace bulkhead::lifecycle
