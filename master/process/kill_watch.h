// Which children have got SIGKILL and do not end: one that hangs in the kernel (state D), or that a debugger holds. The
// tree waits for it, and its operator must learn for what.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>

#include "master/supervision/event.h"
#include "worker/log/log.h"

namespace bulkhead::process {

inline constexpr std::chrono::seconds kKillPatience{10};

class KillWatch {
 public:
  void killed(supervision::Instant now) {
    if (!due_) due_ = now + kKillPatience;
  }
  // Once.
  [[nodiscard]] bool is_due(supervision::Instant now) {
    if (told_ || !due_ || now < *due_) return false;
    return told_ = true;
  }

 private:
  std::optional<supervision::Instant> due_;
  bool told_ = false;
};

inline void log_unkillable(const std::string& path, pid_t pid, std::chrono::seconds after = kKillPatience) {
  log::Line(log::Level::error, path)
      .text("pid ")
      .number(pid)
      .text(" did not end ")
      .number(after.count())
      .text(" s after SIGKILL")
      .field("pid", pid)
      .write();
}

}  // namespace bulkhead::process
