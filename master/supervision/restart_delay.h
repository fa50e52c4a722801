// How long one child waits before its next start (RestartDelay in child_spec.h has the rule). OTP knows no such delay.
// A new entry has a new history: the children of a supervisor that is restarted begin with an immediate restart again.
#pragma once

#include <cstdint>
#include <optional>

#include "master/supervision/child_spec.h"

namespace bulkhead::supervision {

// The only chance in the rules, and it is replayable: the same seed gives the same numbers (splitmix64).
class Jitter {
 public:
  explicit Jitter(std::uint64_t seed) : state_(seed) {}
  [[nodiscard]] double next();                                  // uniform in [-1, 1)
  [[nodiscard]] std::uint64_t state() const { return state_; }  // a seed that goes on from here

 private:
  std::uint64_t state_;
};

class Backoff {
 public:
  // The delay of the restart that is decided now; zero: at once. `ready_for` is how long the run before it had been
  // ready, nothing if it never was. Never more than policy.max, jitter included.
  [[nodiscard]] Duration next(const RestartDelay& policy, std::optional<Duration> ready_for, Jitter& jitter);

  // An operator has started the child: the history is over.
  void forget() { restarts_ = 0; }

  // The history as a number, and its continuation elsewhere.
  [[nodiscard]] std::uint32_t restarts() const { return restarts_; }
  void resume(std::uint32_t restarts) { restarts_ = restarts; }

 private:
  std::uint32_t restarts_ = 0;  // since the last run of reset_after
};

}  // namespace bulkhead::supervision
