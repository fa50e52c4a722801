#include "master/procedure/log_keeper.h"

#include <utility>

#include "worker/log/log.h"

namespace bulkhead::procedure {

void LogKeeper::reopen(const config::Log& config) {
  auto target = host::open_log_target(config.target);
  if (!target) {
    log::Line(log::Level::error, "log")
        .text("cannot reopen; still writing to the old file: ")
        .text(target.error().text())
        .write();
    return;
  }
  target_ = std::move(*target);
  host::configure_log(config, target_.lines.get());
  children_.use_log(config, target_);
  log::Line(log::Level::info, "log").text("reopened").write();
}

}  // namespace bulkhead::procedure
