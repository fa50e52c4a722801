// How long a worker pauses when the system has run out of something: 100 ms, doubling to a second, from the start again
// once an accept has worked. Injected time, nanoseconds.
#pragma once

#include <cstdint>

namespace bulkhead::admission {

class Backoff {
 public:
  static constexpr std::int64_t kFirst = 100'000'000;
  static constexpr std::int64_t kLast = 1'000'000'000;

  // The next pause.
  [[nodiscard]] std::int64_t next() noexcept;
  void reset() noexcept { pause_ = 0; }
  [[nodiscard]] bool active() const noexcept { return pause_ != 0; }

 private:
  std::int64_t pause_ = 0;
};

}  // namespace bulkhead::admission
