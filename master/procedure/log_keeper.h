// The target of the daemon's log lines and of its children's, and its replacement while the daemon runs.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "master/config/config.h"
#include "master/host/log_target.h"
#include "master/running/children.h"
#include "worker/sys/result.h"

namespace bulkhead::procedure {

class LogKeeper {
 public:
  // `children` must outlive it.
  LogKeeper(host::LogTarget target, running::Children& children) : target_(std::move(target)), children_(children) {}

  // Opens the target again, and the files that processes have of their own, after a rotation or because the
  // configuration has changed. Returns the failures, which are logged too: if the target cannot be opened, all
  // processes continue with the old one.
  std::vector<std::string> reopen(const config::Log& config);
  [[nodiscard]] const host::LogTarget& target() const noexcept { return target_; }

 private:
  [[nodiscard]] std::vector<std::string> replace(const config::Log& config);

  host::LogTarget target_;
  running::Children& children_;
};

}  // namespace bulkhead::procedure
