#include "master/supervision/restart_delay.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace bulkhead::supervision {

double Jitter::next() {
  state_ += 0x9e3779b97f4a7c15ULL;
  std::uint64_t z = state_;
  z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27U)) * 0x94d049bb133111ebULL;
  z ^= z >> 31U;
  return static_cast<double>(z >> 11U) * 0x1.0p-52 - 1.0;
}

Duration Backoff::next(const RestartDelay& policy, std::optional<Duration> ready_for, Jitter& jitter) {
  if (!policy.enabled) return Duration::zero();
  if (ready_for && *ready_for >= policy.reset_after) restarts_ = 0;
  if (policy.immediate_after_ready && ready_for && *ready_for >= policy.stable_run) return Duration::zero();
  if (restarts_ < std::numeric_limits<std::uint32_t>::max()) ++restarts_;
  if (restarts_ == 1) return Duration::zero();
  const auto longest = static_cast<double>(policy.max.count());
  const double grown = static_cast<double>(policy.min.count()) * std::pow(policy.factor, restarts_ - 2);
  const double moved = std::min(grown, longest) * (1.0 + policy.jitter * jitter.next());
  // Compared before the conversion, because a double outside the range of a duration must not be converted.
  if (!(moved < longest)) return policy.max;
  return Duration(static_cast<Duration::rep>(std::max(moved, 0.0)));
}

}  // namespace bulkhead::supervision
