#include "worker/admission/fair_share.h"

namespace bulkhead::admission {

bool FairShare::ahead(std::uint64_t mine, std::uint64_t others, std::uint32_t workers) const noexcept {
  // A worker that was replaced counts from zero again, and the sum goes back: wait for the next beginning.
  if (workers == 0 || others < others_ || mine < mine_) return false;
  const auto taken = static_cast<std::int64_t>(mine - mine_);
  const auto theirs = static_cast<std::int64_t>(others - others_);
  return (taken - kLead) * static_cast<std::int64_t>(workers) > theirs;
}

}  // namespace bulkhead::admission
