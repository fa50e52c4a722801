#include "worker/admission/penalties.h"

#include <algorithm>

namespace bulkhead::admission {

Charge charge_for(const Ending& ending, const PenaltyRules& rules) noexcept {
  if (rules.mode == PenaltyMode::off) return {};
  Charge charge;
  if (ending.timed_out) {
    charge = {Offence::timeout, rules.timeout_ns};
  } else if (ending.asked) {
    return {};
  } else if (ending.how == Ending::How::killed) {
    charge = {Offence::crash, rules.crash_ns};
  } else if (ending.no_input) {
    charge = {Offence::no_input, rules.no_input_ns};
  } else if (ending.how == Ending::How::exited) {
    charge = {Offence::exit, rules.exit_ns[ending.status]};
  }
  return charge.duration_ns > 0 ? charge : Charge{};
}

Penalty::Penalty(std::int64_t until_ns, bool active, Offence offence) noexcept
    : word_(((static_cast<std::uint64_t>(until_ns) + kLowBits) & ~kLowBits) | std::uint64_t{active} |
            static_cast<std::uint64_t>(offence) << 1) {}

Penalty add(Penalty before, const Charge& charge, const PenaltyRules& rules, std::int64_t now_ns) noexcept {
  if (charge.duration_ns <= 0) return before;
  const bool goes_on = before.any() && !before.over(now_ns);
  const std::int64_t due = (goes_on ? before.until_ns() - now_ns : 0) + std::min(charge.duration_ns, rules.max_ns);
  const std::int64_t capped = std::min(due, rules.max_ns);
  return {now_ns + capped, (goes_on && before.active()) || capped > rules.min_ns, charge.offence};
}

}  // namespace bulkhead::admission
