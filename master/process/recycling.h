// The replacement of workers that have served enough. A worker knows its accepts, its age and the crashes of its
// connections (worker/wear.h), and asks; whether it is replaced now, the master decides. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "master/config/config.h"
#include "master/process/run_table.h"
#include "worker/ipc/message.h"
#include "worker/ipc/wear_limits.h"

namespace bulkhead::process {

// A worker repeats its question once a second, so this is a little less. It limits how often a worker can be replaced
// that asks for it without having served, because these replacements are neither counted nor delayed.
inline constexpr std::chrono::milliseconds kLeastService{900};

struct RecycleQuestion {
  ipc::WornReason reason = ipc::WornReason::max_accepts;
  RunState state = RunState::ready;
  bool leaves_anyway = false;       // its listener ends or is suspended
  bool sibling_is_missing = false;  // another worker of the listener is starting or leaving
  std::chrono::nanoseconds served{0};
};

// One worker of a listener is replaced at a time. A worker whose connections have crashed accepts nothing any more, so
// it does not wait for another.
[[nodiscard]] bool may_recycle(const RecycleQuestion& question) noexcept;

// Whether the configuration has such a limit at all.
[[nodiscard]] bool is_limited(const config::Recycling& limits, ipc::WornReason reason) noexcept;
// "max_accepts reached", "10 connections crashed within 1m"
[[nodiscard]] std::string recycle_text(const config::Recycling& limits, ipc::WornReason reason);

// A worker's own limits, so that not all workers leave at the same time. `first` and `second` are random.
[[nodiscard]] ipc::WearLimits draw_wear(const config::Recycling& limits, std::uint64_t first, std::uint64_t second);
// The same, with random numbers of the system.
[[nodiscard]] ipc::WearLimits draw_wear(const config::Recycling& limits);

}  // namespace bulkhead::process
