// The log of one listener or process: its own if the configuration names one, else the daemon's.
#pragma once

#include <optional>

#include "master/config/config.h"
#include "master/host/log_target.h"
#include "worker/log/log.h"
#include "worker/sys/result.h"

namespace bulkhead::process {

class NodeLog {
 public:
  NodeLog() = default;
  NodeLog(const NodeLog&) = delete;  // its sink keeps a pointer
  NodeLog& operator=(const NodeLog&) = delete;

  // Opens what `own` names, also once more: after a rotation, or when one of the two has changed. The daemon's own log
  // has been configured before. On an error everything stays as it was.
  [[nodiscard]] std::optional<sys::Error> use(const config::Log& daemon, const config::OwnLog& own);

  // Both may be others after use().
  [[nodiscard]] log::Sink& sink() noexcept { return is_own_ ? sink_ : log::own(); }
  [[nodiscard]] const config::Log& config() const noexcept { return config_; }
  [[nodiscard]] const config::OwnLog& own() const noexcept { return own_; }
  // What programs that inherit the log get a description of; -1: the daemon's.
  [[nodiscard]] int handlers() const noexcept { return target_.handlers.get(); }

 private:
  config::Log config_;
  config::OwnLog own_;
  host::LogTarget target_;  // empty: the daemon's
  log::Sink sink_;
  bool is_own_ = false;
};

}  // namespace bulkhead::process
