#include "master/process/node_log.h"

#include <utility>

namespace bulkhead::process {

std::optional<sys::Error> NodeLog::use(const config::Log& daemon, const config::OwnLog& own) {
  config::Log merged = config::merged(daemon, own);
  host::LogTarget target;
  if (own.target) {
    auto opened = host::open_log_target(merged.target);
    if (!opened) return opened.error();
    target = std::move(*opened);
  }
  config_ = std::move(merged);
  own_ = own;
  target_ = std::move(target);
  is_own_ = config::has_own_log(own);
  if (is_own_) {
    const int fd = target_.lines ? target_.lines.get() : log::own().settings().fd;
    sink_.configure(host::log_settings(config_, fd));
  }
  return std::nullopt;
}

}  // namespace bulkhead::process
