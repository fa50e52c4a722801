// OTP's restart intensity: at most max_restarts restarts within any max_seconds; one more ends the supervisor. Source:
// supervisor(3), "Maximum restart intensity", and add_restart in supervisor.erl. Two differences: OTP counts whole
// seconds, this counts exactly; and max_restarts may be unlimited. A restart exactly max_seconds ago still counts.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "master/supervision/child_spec.h"

namespace bulkhead::supervision {

class RestartIntensity {
 public:
  // Without a limit nothing depends on the number, so older restarts are forgotten and it stays at this.
  static constexpr std::uint32_t kMostRemembered = 10'000;

  using Limit = std::optional<std::uint32_t>;  // nothing: unlimited
  RestartIntensity(Limit max_restarts, Duration max_seconds) : max_restarts_(max_restarts), max_seconds_(max_seconds) {}

  // Counts one more restart at `now`, which must not go backwards. False: it is one too many. Keeps at most
  // max_restarts instants, or kMostRemembered, however often it is called.
  [[nodiscard]] bool count(Instant now);

  // Whether one more at `now` would be one too many.
  [[nodiscard]] bool is_used_up(Instant now) const { return max_restarts_ && in_window(now) >= *max_restarts_; }

  // Changes the limits from now on. Restarts that were counted still count, as far as the new limits use them.
  void limit(Limit max_restarts, Duration max_seconds);

  // How many restarts lie within the window that ends at `now`.
  [[nodiscard]] std::uint32_t in_window(Instant now) const;

  // The counted restarts, to be counted again in another program.
  [[nodiscard]] std::vector<Instant> counted() const { return {restarts_.begin(), restarts_.end()}; }

 private:
  void keep(std::uint32_t most);

  Limit max_restarts_;
  Duration max_seconds_;
  std::deque<Instant> restarts_;  // in order; entries before the window do not count
};

}  // namespace bulkhead::supervision
