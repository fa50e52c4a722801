#include "worker/admission/rate.h"

#include <algorithm>

namespace bulkhead::admission {

namespace {

// Rounded up, so that never more connections than configured are admitted.
std::int64_t interval_of(const Rate& rate) noexcept {
  return (rate.per_ns + rate.count - 1) / rate.count;
}

// A bucket cannot be emptier than empty, which a lowered rate could suggest.
std::int64_t missing(const Rate& rate, std::int64_t full_at_ns, std::int64_t now_ns) noexcept {
  return std::clamp<std::int64_t>(full_at_ns - now_ns, 0, interval_of(rate) * rate.count);
}

}  // namespace

std::int64_t wait_ns(const Rate& rate, std::int64_t full_at_ns, std::int64_t now_ns) noexcept {
  if (!rate.limited()) return 0;
  const std::int64_t room = interval_of(rate) * (std::int64_t{rate.count} - 1);
  return std::max<std::int64_t>(missing(rate, full_at_ns, now_ns) - room, 0);
}

bool take(const Rate& rate, std::int64_t& full_at_ns, std::int64_t now_ns) noexcept {
  if (!rate.limited()) return true;
  if (wait_ns(rate, full_at_ns, now_ns) > 0) return false;
  full_at_ns = now_ns + missing(rate, full_at_ns, now_ns) + interval_of(rate);
  return true;
}

}  // namespace bulkhead::admission
