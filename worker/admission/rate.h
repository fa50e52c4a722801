// At most `count` connections in `per`, as a token bucket: a burst of `count`, then one for each `per` / `count` that
// passes. The bucket is one number, the time at which it will be full again (the generic cell rate algorithm, ITU-T
// I.371), so it can lie in shared memory and be changed by a single store: a process killed beside it leaves it whole.
// Pure; injected time, nanoseconds.
#pragma once

#include <cstdint>

namespace bulkhead::admission {

struct Rate {
  std::uint32_t count = 0;  // 0: unlimited
  std::int64_t per_ns = 0;

  [[nodiscard]] bool limited() const noexcept { return count != 0; }
};

// Takes one token out of the bucket `full_at_ns`. False: there is none, and the bucket is as it was.
[[nodiscard]] bool take(const Rate& rate, std::int64_t& full_at_ns, std::int64_t now_ns) noexcept;

// How long until take() works; 0 when it does now.
[[nodiscard]] std::int64_t wait_ns(const Rate& rate, std::int64_t full_at_ns, std::int64_t now_ns) noexcept;

}  // namespace bulkhead::admission
