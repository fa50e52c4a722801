// How long a child waits before its next start (the rule is at RestartDelay in child_spec.h). OTP has no such delay. A
// new entry has a new history: after a restart of their supervisor, the first restart of its children is immediate
// again.
#pragma once

#include <cstdint>
#include <optional>

#include "master/supervision/child_spec.h"

namespace bulkhead::supervision {

// The only random numbers in the rules. They can be replayed: the same seed gives the same numbers (splitmix64).
class Jitter {
 public:
  explicit Jitter(std::uint64_t seed) : state_(seed) {}
  [[nodiscard]] double next();                                  // uniform in [-1, 1)
  [[nodiscard]] std::uint64_t state() const { return state_; }  // a seed that continues from here

 private:
  std::uint64_t state_;
};

class Backoff {
 public:
  // The delay of the restart that is decided now; zero: restart immediately. `ready_for` is how long the run before it
  // was ready, empty if it never was. Never more than policy.max, jitter included.
  [[nodiscard]] Duration next(const RestartDelay& policy, std::optional<Duration> ready_for, Jitter& jitter);

  // An operator has started the child: its history is cleared.
  void forget() { restarts_ = 0; }

  // The history as a number, to be continued in another program.
  [[nodiscard]] std::uint32_t restarts() const { return restarts_; }
  void resume(std::uint32_t restarts) { restarts_ = restarts; }

 private:
  std::uint32_t restarts_ = 0;  // since the last run of at least reset_after
};

}  // namespace bulkhead::supervision
