#include "worker/admission/backoff.h"

#include <algorithm>

namespace bulkhead::admission {

std::int64_t Backoff::next() noexcept {
  pause_ = pause_ == 0 ? kFirst : std::min(pause_ * 2, kLast);
  return pause_;
}

}  // namespace bulkhead::admission
