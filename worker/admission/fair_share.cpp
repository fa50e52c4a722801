#include "worker/admission/fair_share.h"

namespace bulkhead::admission {

void FairShare::begin(std::uint64_t mine, std::uint64_t others) noexcept {
  mine_ = mine;
  others_ = others;
  lead_ = kLead;
  vain_ = 0;
}

std::int64_t FairShare::step_aside() const noexcept {
  return vain_ < kPatience ? kStepAside << vain_ : kStepAside;
}

void FairShare::in_vain(std::uint64_t mine, std::uint64_t others) noexcept {
  if (vain_ < kPatience && ++vain_ < kPatience) return;
  mine_ = mine;
  others_ = others;
  lead_ *= 2;
}

bool FairShare::ahead(std::uint64_t mine, std::uint64_t others, std::uint32_t workers) const noexcept {
  // A worker that was replaced counts from zero again, and the sum goes back: wait for the next beginning.
  if (workers == 0 || others < others_ || mine < mine_) return false;
  const auto taken = static_cast<std::int64_t>(mine - mine_);
  const auto theirs = static_cast<std::int64_t>(others - others_);
  return (taken - lead_) * static_cast<std::int64_t>(workers) * kOther > theirs * kOwn;
}

}  // namespace bulkhead::admission
