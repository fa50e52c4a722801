#include "master/procedure/log_keeper.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "worker/log/log.h"

namespace bulkhead::procedure {

std::vector<std::string> LogKeeper::reopen(const config::Log& config) {
  std::vector<std::string> problems = replace(config);
  std::ranges::move(children_.reopen_outputs(), std::back_inserter(problems));
  for (const std::string& problem : problems) log::Line(log::Level::error, "log").text(problem).write();
  if (problems.empty()) log::Line(log::Level::info, "log").text("reopened").write();
  return problems;
}

std::vector<std::string> LogKeeper::replace(const config::Log& config) {
  auto target = host::open_log_target(config.target);
  if (!target) {
    std::vector<std::string> problems{fmt::format("cannot reopen the log {}: {}; still writing to the old one",
                                                  config.target, std::strerror(target.error().code))};
    std::ranges::move(children_.use_log(), std::back_inserter(problems));
    return problems;
  }
  target_ = std::move(*target);
  host::configure_log(config, target_.lines.get());
  return children_.use_log(config, target_);
}

}  // namespace bulkhead::procedure
