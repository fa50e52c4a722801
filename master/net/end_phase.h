// How far the end of a listener, or of the daemon, has come (master/procedure/stop_sequence.h).
#pragma once

#include <cstdint>
#include <string_view>

namespace bulkhead::net {

enum class EndPhase : std::uint8_t { idle, lame_duck, closing, draining, terminating, leaving, stopping_tree, done };

// The word that `tree` shows: "lame_duck"; empty if nothing ends.
[[nodiscard]] constexpr std::string_view phase_name(EndPhase phase) noexcept {
  constexpr std::string_view kNames[] = {"",        "lame_duck",     "closing", "draining", "terminating",
                                         "leaving", "stopping_tree", ""};
  static_assert(sizeof kNames / sizeof kNames[0] == static_cast<std::size_t>(EndPhase::done) + 1);
  return kNames[static_cast<std::size_t>(phase)];
}

// The daemon's state as a whole, for its service manager and `status`.
[[nodiscard]] constexpr const char* daemon_state(EndPhase phase) noexcept {
  if (phase == EndPhase::idle) return "running";
  return phase < EndPhase::terminating ? "draining" : "stopping";
}

// Something is about to end, and has not ended yet.
[[nodiscard]] constexpr bool has_begun(EndPhase phase) noexcept {
  return phase != EndPhase::idle && phase != EndPhase::done;
}

}  // namespace bulkhead::net
