#include "master/process/group_end.h"

#include <algorithm>

namespace bulkhead::process {

namespace {

using namespace std::chrono_literals;
using supervision::Shutdown;

constexpr auto kLeftPatience = 5s;  // where shutdown is "infinity"
constexpr auto kAfterKill = 5s;

}  // namespace

void GroupEnd::asked(const Terms& terms, Instant now) {
  if (state_.asked) return;
  state_.asked = true;
  if (terms.shutdown.kind == Shutdown::Kind::timeout) state_.deadline = now + terms.shutdown.timeout;
}

void GroupEnd::killed(Instant now) {
  state_.deadline = now;
  if (!state_.killed_at) state_.killed_at = now;
}

GroupEnd::Action GroupEnd::leader_ended(const Terms& terms, Instant now) {
  state_.leader_ended = true;
  if (terms.mode == config::KillMode::process || state_.killed_at) return Action::none;
  if (terms.mode == config::KillMode::mixed || terms.shutdown.kind == Shutdown::Kind::brutal_kill) {
    killed(now);
    return Action::kill;
  }
  const bool endless = terms.shutdown.kind == Shutdown::Kind::infinity;
  if (!state_.deadline) state_.deadline = now + (endless ? kLeftPatience : terms.shutdown.timeout);
  return state_.asked ? Action::none : Action::ask;
}

GroupEnd::Action GroupEnd::look(bool lives, Instant now) {
  if (!lives || !state_.deadline) return Action::over;
  if (now < *state_.deadline) return Action::none;
  if (!state_.killed_at) {
    killed(now);
    return Action::kill;
  }
  return now < *state_.killed_at + kAfterKill ? Action::none : Action::give_up;
}

std::optional<supervision::Instant> GroupEnd::next_deadline() const noexcept {
  if (!state_.leader_ended || !state_.deadline) return std::nullopt;
  return state_.killed_at ? *state_.killed_at + kAfterKill : *state_.deadline;
}

}  // namespace bulkhead::process
