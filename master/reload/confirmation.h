// A reload that has to be confirmed (`reload --confirm`): until then the configuration before it may come back. Pure:
// no clock, no timer.
//
//   none ── took_effect with a limit ──▶ waiting ── confirm ──▶ none: the new configuration stays
//                                           │ expire
//                                           ▼
//                                          due ── begin_return ──▶ returning ── took_effect ──▶ none
//                                                                      └── failed ──▶ waiting, to be tried again
//
// Another reload with a limit sets the time anew, and one without leaves it: both keep the configuration that was last
// confirmed. A reload that brings that one back by itself leaves nothing to confirm.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "master/config/config.h"
#include "master/supervision/child_spec.h"

namespace bulkhead::reload {

inline constexpr std::chrono::seconds kReturnAgain{10};  // after one that failed

// A configuration that was in effect, with the users, groups and variables that it had found.
struct Former {
  std::string effective;  // as --dump-config prints it
  std::shared_ptr<const config::Config> config{};
};

struct Unconfirmed {
  Former before;
  supervision::Duration limit{};
  supervision::Instant until{};
};

class Confirmation {
 public:
  enum class State : std::uint8_t { none, waiting, due, returning };
  enum class Effect : std::uint8_t {
    none,
    begun,     // the time to confirm has begun, or begun anew
    moot,      // a reload has brought the configuration before back by itself
    returned,  // it is back because nobody has confirmed
  };
  enum class Answer : std::uint8_t { confirmed, nothing_waits, too_late };

  // One configuration has been replaced by another.
  [[nodiscard]] Effect took_effect(const Former& before, const std::string& after,
                                   std::optional<supervision::Duration> limit, supervision::Instant now);
  [[nodiscard]] Answer confirm();
  // True if it is due from now on.
  [[nodiscard]] bool expire(supervision::Instant now);
  // Only while it is due.
  void begin_return() { state_ = State::returning; }
  void failed(supervision::Instant now);
  // What another program waited for. It may be due.
  void resume(Unconfirmed one);
  void forget() { *this = {}; }

  [[nodiscard]] State state() const noexcept { return state_; }
  [[nodiscard]] bool is_due() const noexcept { return state_ == State::due; }
  [[nodiscard]] bool is_returning() const noexcept { return state_ == State::returning; }
  // In any state but none.
  [[nodiscard]] const std::optional<Unconfirmed>& unconfirmed() const noexcept { return unconfirmed_; }

 private:
  State state_ = State::none;
  std::optional<Unconfirmed> unconfirmed_;
};

}  // namespace bulkhead::reload
