#include "worker/wear.h"

namespace bulkhead::worker {

bool Wear::accepted() noexcept {
  return ++accepted_ == limits_.accepts;
}

bool Wear::crashed(std::int64_t now_ns) {
  if (limits_.crashes == 0 || exposed_) return false;
  while (!crashes_.empty() && now_ns - crashes_.front() >= limits_.crashes_within_ns) crashes_.pop_front();
  crashes_.push_back(now_ns);
  exposed_ = crashes_.size() >= limits_.crashes;
  return exposed_;
}

std::optional<ipc::WornReason> Wear::reason(std::int64_t now_ns) const noexcept {
  if (exposed_) return ipc::WornReason::max_crashes;
  if (limits_.accepts != 0 && accepted_ >= limits_.accepts) return ipc::WornReason::max_accepts;
  if (limits_.age_ns != 0 && now_ns - began_ns_ >= limits_.age_ns) return ipc::WornReason::max_age;
  return std::nullopt;
}

}  // namespace bulkhead::worker
