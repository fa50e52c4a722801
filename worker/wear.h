// Decides when a worker has served enough and is to be replaced: after so many connections, at an age, or because so
// many of its connections have crashed within a time. Crashes matter because the connections of one worker are forked
// from it: they share the layout of its memory and its stack canary, which a crash for each guess would reveal bit by
// bit. Pure: the times come from outside.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include "worker/ipc/message.h"
#include "worker/ipc/wear_limits.h"

namespace bulkhead::worker {

class Wear {
 public:
  Wear(const ipc::WearLimits& limits, std::int64_t began_ns) noexcept : limits_(limits), began_ns_(began_ns) {}

  // Each returns true once, when that limit has just been reached.
  [[nodiscard]] bool accepted() noexcept;
  [[nodiscard]] bool crashed(std::int64_t now_ns);

  // Why it is to be replaced. Crashes come first, and stay a reason.
  [[nodiscard]] std::optional<ipc::WornReason> reason(std::int64_t now_ns) const noexcept;
  // It must not accept another connection.
  [[nodiscard]] bool is_exposed() const noexcept { return exposed_; }

 private:
  ipc::WearLimits limits_;
  std::int64_t began_ns_;
  std::uint64_t accepted_ = 0;
  std::deque<std::int64_t> crashes_;  // the latest, fewer than the limit
  bool exposed_ = false;
};

}  // namespace bulkhead::worker
