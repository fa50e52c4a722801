#include "worker/admission/source_rules.h"

namespace bulkhead::admission {

SourceDecision decide(const SourceState& state, const SourceRules& rules, std::uint32_t max_connections, bool exempt,
                      std::int64_t now_ns, const Rate* rate) noexcept {
  const PenaltyRules& penalties = rules.penalties;
  SourceDecision decision;
  decision.rate_full_at_ns = state.rate_full_at_ns;
  const bool all_denied = state.overflow && penalties.overflow == Overflow::deny_all;
  const bool penalised = penalties.mode != PenaltyMode::off && !exempt && (all_denied || state.penalty.refuses(now_ns));
  if (penalised && penalties.mode == PenaltyMode::enforce) {
    decision.verdict = SourceVerdict::penalty;
    return decision;
  }
  if (state.connections >= max_connections) {
    decision.verdict = SourceVerdict::per_source;
  } else if (!take(rate != nullptr ? *rate : rules.rate, decision.rate_full_at_ns, now_ns)) {
    decision.verdict = SourceVerdict::rate_per_source;
  }
  decision.would_refuse = penalised;
  return decision;
}

}  // namespace bulkhead::admission
