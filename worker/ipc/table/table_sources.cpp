// The connection table's functions for sources: worker/ipc/table/source_table.h under the table's lock.
#include "worker/ipc/table/table_header.h"

namespace bulkhead::ipc {

namespace {

Refusal refusal_of(admission::SourceVerdict verdict) noexcept {
  switch (verdict) {
    case admission::SourceVerdict::admitted: break;
    case admission::SourceVerdict::penalty: return Refusal::penalty;
    case admission::SourceVerdict::per_source: return Refusal::per_source;
    case admission::SourceVerdict::rate_per_source: return Refusal::rate_per_source;
  }
  return Refusal::count_;
}

}  // namespace

Grant Table::admit(const Demand& demand, std::uint32_t claimed) noexcept {
  const Guard guard(*this);
  const bool asks = demand.source.rules != nullptr;
  const SourceAnswer answer = asks ? sources_.judge(demand.source, demand.now_ns) : SourceAnswer{};
  if (const Refusal no = refusal_of(answer.verdict); no != Refusal::count_) return {kNoSlot, no, 0, answer};
  Grant grant = claimed != kNoSlot ? Grant{claimed, Refusal::count_, 0, {}} : claim_locked(demand);
  grant.source = answer;
  if (asks && grant.slot != kNoSlot) {
    slots_[grant.slot].source = sources_.enter(demand.source.key, answer, demand.now_ns);
  }
  return grant;
}

Penalised Table::penalise(std::uint32_t slot, const admission::Charge& charge, const admission::PenaltyRules& rules,
                          std::int64_t now_ns) noexcept {
  const Guard guard(*this);
  return sources_.penalise(slots_[slot].source, charge, rules, now_ns);
}

std::uint32_t Table::forgive(const SourceKey& prefix) noexcept {
  const Guard guard(*this);
  return sources_.forgive(prefix);
}

}  // namespace bulkhead::ipc
