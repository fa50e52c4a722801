// What becomes of the process group of a run, and when the run is over. Pure.
//
// A run is over when its leader has ended and, unless kill_mode is `process`, nothing lives in its process group any
// more. One deadline, `shutdown`, counts from the first signal that asks the run to end, or from the leader's own end:
//
//   kill_mode   the stop signal goes to   what the leader leaves behind
//   group       the whole group           is asked too, unless it has been; is killed at the deadline
//   mixed       the leader                is killed at once
//   process     the leader                is left alone
//
// "infinity" holds for the leader; what it leaves behind gets 5 s. What SIGKILL does not end (it hangs in a system
// call, or we may not signal it) is given up after 5 s more, or the tree would wait for it for ever.
#pragma once

#include <optional>

#include "master/config/config.h"
#include "master/supervision/child_spec.h"
#include "master/supervision/event.h"

namespace bulkhead::process {

// For another program to continue with.
struct GroupEndHandover {
  bool asked = false;
  bool leader_ended = false;
  std::optional<supervision::Instant> deadline;
  std::optional<supervision::Instant> killed_at;
};

class GroupEnd {
 public:
  using Instant = supervision::Instant;
  struct Terms {
    config::KillMode mode;
    supervision::Shutdown shutdown;
  };
  enum class Action {
    none,
    ask,     // TERM, then CONT
    kill,    // SIGKILL
    over,    // the run is
    give_up  // and so the run is over as well
  };

  void asked(const Terms& terms, Instant now);  // the run gets its stop signal
  void killed(Instant now);                     // its group gets SIGKILL
  // To be done to what is left.
  [[nodiscard]] Action leader_ended(const Terms& terms, Instant now);
  // Only once the leader has ended. `lives`: somebody in the group does.
  [[nodiscard]] Action look(bool lives, Instant now);

  [[nodiscard]] bool has_leader_ended() const noexcept { return state_.leader_ended; }
  [[nodiscard]] bool was_killed() const noexcept { return state_.killed_at.has_value(); }
  // When something is due at the latest, once the leader has ended.
  [[nodiscard]] std::optional<Instant> next_deadline() const noexcept;

  [[nodiscard]] const GroupEndHandover& hand_over() const noexcept { return state_; }
  void resume(const GroupEndHandover& from) noexcept { state_ = from; }

 private:
  GroupEndHandover state_;
};

}  // namespace bulkhead::process
