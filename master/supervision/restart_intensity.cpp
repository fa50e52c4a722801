#include "master/supervision/restart_intensity.h"

#include <algorithm>
#include <iterator>

namespace bulkhead::supervision {

bool RestartIntensity::count(Instant now) {
  while (!restarts_.empty() && now - restarts_.front() > max_seconds_) restarts_.pop_front();
  if (max_restarts_ && restarts_.size() >= *max_restarts_) return false;
  restarts_.push_back(now);
  keep(max_restarts_.value_or(kMostRemembered));
  return true;
}

void RestartIntensity::limit(Limit max_restarts, Duration max_seconds) {
  max_restarts_ = max_restarts;
  max_seconds_ = max_seconds;
  keep(max_restarts_.value_or(kMostRemembered));
}

void RestartIntensity::keep(std::uint32_t most) {
  while (restarts_.size() > most) restarts_.pop_front();
}

std::uint32_t RestartIntensity::in_window(Instant now) const {
  const auto too_old = [&](Instant restart) { return now - restart > max_seconds_; };
  const auto first = std::partition_point(restarts_.begin(), restarts_.end(), too_old);
  return static_cast<std::uint32_t>(std::distance(first, restarts_.end()));
}

}  // namespace bulkhead::supervision
