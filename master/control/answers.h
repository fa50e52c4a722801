// Turns outcomes of the daemon's procedures into answers of the control protocol.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "master/control/backend.h"
#include "master/journal/start_failure.h"
#include "master/procedure/outcome.h"
#include "master/reload/reload.h"

namespace bulkhead::control {

[[nodiscard]] Answer ok();
[[nodiscard]] Answer refused(std::string why);
[[nodiscard]] Answer refused(const std::vector<std::string>& problems);
// A negative answer that OTP has no word for.
[[nodiscard]] Answer no(std::string why, std::string word);
[[nodiscard]] Answer no_such(const std::string& what);
[[nodiscard]] Answer answer_of(const procedure::Outcome& outcome);
// A start that has failed, with the reason and the child's last lines: in the sentence, and for programs as the members
// `reason` and `last_lines`.
[[nodiscard]] Answer not_started(const procedure::Outcome& outcome, const journal::StartFailure& why);
// {"ok":true,"changes":[…],"needs_restart":[…]}, or a refusal with every problem.
[[nodiscard]] Answer answer_of(const reload::Reload::Result& result);
[[nodiscard]] procedure::Done answer_with(Reply reply);

// As `age_seconds` and the like have it: to the millisecond.
[[nodiscard]] constexpr double seconds_of(std::int64_t ns) noexcept {
  return static_cast<double>(ns / 1'000'000) / 1000.0;
}

}  // namespace bulkhead::control
