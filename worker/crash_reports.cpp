#include "worker/crash_reports.h"

#include <sys/wait.h>

#include "worker/ipc/channel.h"

namespace bulkhead::worker {

bool CrashReports::allow(std::int64_t now_ns) noexcept {
  if (now_ns - second_began_ns_ > 1'000'000'000) {
    second_began_ns_ = now_ns;
    sent_ = 0;
  }
  return ++sent_ <= kPerSecond;
}

void CrashReports::report(std::uint32_t index, const ipc::Slot& slot, int status, ipc::EndCount count,
                          const rusage& usage, std::int64_t now_ns) noexcept {
  if (!allow(now_ns)) {
    ++omitted_;
    return;
  }
  ipc::Crash message;
  message.slot = index;
  message.use = slot.use;
  message.pid = slot.pid;
  message.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  message.client_gone = count == ipc::EndCount::client_gone ? 1 : 0;
  message.core = WCOREDUMP(status) ? 1 : 0;
  message.status = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
  message.age_ns = now_ns - slot.started_ns;
  message.omitted = omitted_;
  message.user_us = std::int64_t{usage.ru_utime.tv_sec} * 1'000'000 + usage.ru_utime.tv_usec;
  message.system_us = std::int64_t{usage.ru_stime.tv_sec} * 1'000'000 + usage.ru_stime.tv_usec;
  message.max_rss_kb = usage.ru_maxrss;
  if (ipc::send(channel_, message)) omitted_ = 0;
}

}  // namespace bulkhead::worker
