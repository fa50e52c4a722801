#include "master/reload/confirmation.h"

#include <utility>

namespace bulkhead::reload {

Confirmation::Effect Confirmation::took_effect(const Former& before, const std::string& after,
                                               std::optional<supervision::Duration> limit, supervision::Instant now) {
  if (unconfirmed_ && after == unconfirmed_->before.effective) {
    const bool returned = is_returning();
    forget();
    return returned ? Effect::returned : Effect::moot;
  }
  if (!limit || (!unconfirmed_ && before.effective == after)) return Effect::none;
  if (!unconfirmed_) unconfirmed_.emplace().before = before;
  unconfirmed_->limit = *limit;
  unconfirmed_->until = now + *limit;
  state_ = State::waiting;
  return Effect::begun;
}

Confirmation::Answer Confirmation::confirm() {
  if (!unconfirmed_) return Answer::nothing_waits;
  if (is_returning()) return Answer::too_late;
  forget();
  return Answer::confirmed;
}

bool Confirmation::expire(supervision::Instant now) {
  if (state_ != State::waiting || now < unconfirmed_->until) return false;
  state_ = State::due;
  return true;
}

void Confirmation::failed(supervision::Instant now) {
  state_ = State::waiting;
  unconfirmed_->until = now + kReturnAgain;
}

void Confirmation::resume(Unconfirmed one) {
  unconfirmed_ = std::move(one);
  state_ = State::waiting;
}

}  // namespace bulkhead::reload
