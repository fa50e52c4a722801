#include "master/process/recycling.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>

#include "master/config/option_table.h"

namespace bulkhead::process {
namespace {

constexpr std::int64_t kShareOfAge = 4;  // max_age is changed by up to a quarter

// From `middle` - `spread` to `middle` + `spread`, at least 1.
std::uint64_t around(std::uint64_t middle, std::uint64_t spread, std::uint64_t random) noexcept {
  const std::uint64_t least = middle > spread ? middle - spread : 1;
  return least + random % (middle + spread - least + 1);
}

}  // namespace

bool may_recycle(const RecycleQuestion& question) noexcept {
  if (question.state != RunState::ready || question.leaves_anyway || question.served < kLeastService) return false;
  return question.reason == ipc::WornReason::max_crashes || !question.sibling_is_missing;
}

bool is_limited(const config::Recycling& limits, ipc::WornReason reason) noexcept {
  switch (reason) {
    case ipc::WornReason::max_accepts: return limits.max_accepts != 0;
    case ipc::WornReason::max_age: return limits.max_age.has_value();
    case ipc::WornReason::max_crashes: return limits.max_crashes.count != 0;
    case ipc::WornReason::count_: break;
  }
  return false;
}

std::string recycle_text(const config::Recycling& limits, ipc::WornReason reason) {
  if (reason != ipc::WornReason::max_crashes) return fmt::format("{} reached", ipc::kWornWords.text(reason));
  return fmt::format("{} {} crashed within {}", limits.max_crashes.count,
                     limits.max_crashes.count == 1 ? "connection" : "connections",
                     config::span_text(limits.max_crashes.per));
}

ipc::WearLimits draw_wear(const config::Recycling& limits, std::uint64_t first, std::uint64_t second) {
  ipc::WearLimits out;
  if (limits.max_accepts != 0) out.accepts = around(limits.max_accepts, limits.max_accepts_jitter, first);
  if (limits.max_age) {
    const auto age = static_cast<std::uint64_t>(limits.max_age->count());
    out.age_ns = static_cast<std::int64_t>(around(age, age / kShareOfAge, second));
  }
  out.crashes = limits.max_crashes.count;
  out.crashes_within_ns = std::chrono::nanoseconds(limits.max_crashes.per).count();
  return out;
}

ipc::WearLimits draw_wear(const config::Recycling& limits) {
  std::uint64_t random[2] = {};
  (void)!getrandom(random, sizeof random, GRND_NONBLOCK);
  return draw_wear(limits, random[0], random[1]);
}

}  // namespace bulkhead::process
