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

}  // namespace bulkhead::net
