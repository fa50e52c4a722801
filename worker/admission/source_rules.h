// The limits for one source, and the decision on its next connection. Pure; injected time, nanoseconds.
#pragma once

#include <cstdint>

#include "worker/admission/penalties.h"
#include "worker/admission/rate.h"

namespace bulkhead::admission {

inline constexpr std::uint32_t kUnlimited = 0xffffffff;

struct SourceRules {
  std::uint32_t max_connections = kUnlimited;  // max_connections_per_source
  std::uint32_t prefix4 = 32;                  // source_prefix: how many bits of an address make a source
  std::uint32_t prefix6 = 64;
  Rate rate;  // max_rate_per_source
  PenaltyRules penalties;

  // Nothing is asked of sources: then none is looked up.
  [[nodiscard]] bool none() const noexcept {
    return max_connections == kUnlimited && !rate.limited() && penalties.mode == PenaltyMode::off;
  }
};

// The state of a source; all zero for a new one.
struct SourceState {
  std::uint32_t connections = 0;
  Penalty penalty;
  std::int64_t rate_full_at_ns = 0;
  bool overflow = false;  // as many sources of its family as may be are penalised
};

enum class SourceVerdict : std::uint32_t { admitted, penalty, per_source, rate_per_source };

struct SourceDecision {
  SourceVerdict verdict = SourceVerdict::admitted;
  bool would_refuse = false;  // mode log: under enforce the penalty would have refused it
  std::int64_t rate_full_at_ns = 0;
};

// In the order of the pipeline: penalties (unless `exempt`), connections at once (at most `max_connections`, which a
// rule may have set instead of the listener's), rate. The first that refuses decides, and only an admitted connection
// takes a token. `rate`: in place of that of `rules`, where a rule has set one.
[[nodiscard]] SourceDecision decide(const SourceState& state, const SourceRules& rules, std::uint32_t max_connections,
                                    bool exempt, std::int64_t now_ns, const Rate* rate = nullptr) noexcept;

}  // namespace bulkhead::admission
