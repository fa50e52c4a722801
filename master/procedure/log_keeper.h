// The target of the daemon's log lines and of its children's, and its replacement while the daemon runs.
#pragma once

#include <optional>

#include "master/config/config.h"
#include "master/host/log_target.h"
#include "master/running/children.h"
#include "worker/sys/result.h"

namespace bulkhead::procedure {

class LogKeeper {
 public:
  // `children` must outlive it.
  LogKeeper(host::LogTarget target, running::Children& children) : target_(std::move(target)), children_(children) {}

  // Opens the target again, after a rotation or because the configuration has changed. On failure all processes
  // continue with the old target, and the failure is logged.
  void reopen(const config::Log& config);
  [[nodiscard]] const host::LogTarget& target() const noexcept { return target_; }

 private:
  host::LogTarget target_;
  running::Children& children_;
};

}  // namespace bulkhead::procedure
