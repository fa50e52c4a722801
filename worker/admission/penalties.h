// Penalties of a source for how its connections ended: sshd's PerSourcePenalties (sshd_config(5), srclimit.c) for any
// handler. Each offence adds its duration to the remaining penalty of the source, up to `max`. While the penalty is not
// more than `min` it is only remembered; once it was more, the source is refused until all of it has passed. Running
// connections are not touched. Pure; injected time, nanoseconds.
#pragma once

#include <cstdint>

#include "worker/sys/enum_words.h"

namespace bulkhead::admission {

enum class Offence : std::uint8_t { none, crash, timeout, no_input, exit };
// The config's words.
inline constexpr sys::EnumWords<Offence, sys::up_to(Offence::exit)> kOffenceWords{"none", "crash", "timeout",
                                                                                  "no_input", "exit"};

enum class PenaltyMode : std::uint32_t { off, log, enforce };
enum class Overflow : std::uint32_t { permissive, deny_all };

inline constexpr std::uint32_t kMaxPenalised = 65'536;  // sources of one family
inline constexpr std::uint32_t kExitStatuses = 256;

// Durations of 0 do not penalise.
struct PenaltyRules {
  PenaltyMode mode = PenaltyMode::off;
  Overflow overflow = Overflow::permissive;
  std::uint32_t max_sources4 = kMaxPenalised;  // IPv4 addresses, and local users of Unix sockets
  std::uint32_t max_sources6 = kMaxPenalised;
  std::int64_t crash_ns = 0;
  std::int64_t timeout_ns = 0;
  std::int64_t no_input_ns = 0;
  std::int64_t min_ns = 0;
  std::int64_t max_ns = 0;
  std::int64_t exit_ns[kExitStatuses] = {};
};

// How a connection ended, as far as penalties look at it.
struct Ending {
  enum class How : std::uint8_t { unknown, exited, killed } how = How::unknown;
  std::uint8_t status = 0;  // exited
  bool asked = false;       // an operator, or the stop of the daemon, ended it
  bool timed_out = false;   // idle_timeout or max_lifetime ended it
  bool no_input = false;    // a built-in had read nothing from its client
};

struct Charge {
  Offence offence = Offence::none;
  std::int64_t duration_ns = 0;
};
// The penalty for an ending. The first of these that applies counts: timed out; asked, which costs nothing; killed by a
// signal that was not ours; no input; an exit status of the map.
[[nodiscard]] Charge charge_for(const Ending& ending, const PenaltyRules& rules) noexcept;

// The penalty of one source in one word, so that a process killed while it writes leaves the old one or the new one.
class Penalty {
 public:
  constexpr Penalty() noexcept = default;
  constexpr explicit Penalty(std::uint64_t word) noexcept : word_(word) {}
  Penalty(std::int64_t until_ns, bool active, Offence offence) noexcept;

  [[nodiscard]] std::uint64_t word() const noexcept { return word_; }
  [[nodiscard]] bool any() const noexcept { return word_ != 0; }
  [[nodiscard]] std::int64_t until_ns() const noexcept { return static_cast<std::int64_t>(word_ & ~kLowBits); }
  [[nodiscard]] bool over(std::int64_t now_ns) const noexcept { return until_ns() <= now_ns; }
  [[nodiscard]] bool active() const noexcept { return (word_ & 1) != 0; }  // more than `min` was due at some time
  [[nodiscard]] Offence offence() const noexcept { return static_cast<Offence>(word_ >> 1 & 7); }  // the last one
  [[nodiscard]] bool refuses(std::int64_t now_ns) const noexcept { return active() && !over(now_ns); }

 private:
  static constexpr std::uint64_t kLowBits = 15;  // of the time: 16 ns
  std::uint64_t word_ = 0;
};

[[nodiscard]] Penalty add(Penalty before, const Charge& charge, const PenaltyRules& rules,
                          std::int64_t now_ns) noexcept;

}  // namespace bulkhead::admission
