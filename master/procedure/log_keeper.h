// The daemon's log: where its own lines and those of its children go, and how that changes while it runs.
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

  // Opens the target again, after a rotation or because the configuration has changed. On failure everybody continues
  // to write where they did, which is logged.
  void reopen(const config::Log& config);
  [[nodiscard]] const host::LogTarget& target() const noexcept { return target_; }

 private:
  host::LogTarget target_;
  running::Children& children_;
};

}  // namespace bulkhead::procedure
