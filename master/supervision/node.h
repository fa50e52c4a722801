// One entry in a supervisor's list of children, and the messages that supervisors receive. Internal to supervision/.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "master/supervision/command.h"
#include "master/supervision/restart_delay.h"

namespace bulkhead::supervision {

class Supervisor;

// How a child's last run ended, for the chain of causes.
enum class Ending : std::uint8_t {
  none,
  normal,
  shutdown,
  abnormal,
  permanent_failure,
  retired,
  start_failed,
  gave_up,
  shut_itself_down,
  stopped,
  shortage
};

struct Node {
  Node(NodeId node_id, NodeId parent_id, std::shared_ptr<const ChildSpec> child_spec, std::string node_path);
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  NodeId id;
  NodeId parent;
  std::shared_ptr<const ChildSpec> spec;
  std::string path;

  NodeState state = NodeState::stopped;
  Instant since{};
  RunId run = 0;
  std::uint64_t restarts = 0;
  bool exit_pending = false;        // it has ended, and the message about that waits in its supervisor's mailbox
  bool dormant = false;             // of a manual child: nobody has started it, or it has ended for good
  bool called_off = false;          // an operator has ended the start of the present run
  bool withdrawn = false;           // and for good
  bool comes_back = false;          // was not temporary when the restart was decided that stops it and starts it again
  std::optional<Instant> ready_at;  // of the present run
  std::optional<Duration> ready_for;  // of the last run
  std::optional<Instant> due;         // waiting: when it restarts; starting: when the delayed start begins
  std::optional<Instant> deadline;    // the time of its entry in the tree's list of deadlines
  Backoff backoff;
  std::uint32_t shortages = 0;  // starts in a row that met one
  Ending ending = Ending::none;
  std::string how;                 // how a leaf's last run ended, in the words of the edge; empty: as `ending` says
  std::vector<std::string> blame;  // the chain of causes of a supervisor that ended
  std::unique_ptr<Supervisor> supervisor;  // while it runs, if it is one

  // OTP keeps this in one field, the pid: a process (which may already be dead), `restarting`, or undefined.
  [[nodiscard]] bool has_process() const {
    return exit_pending || state == NodeState::starting || state == NodeState::running || state == NodeState::stopping;
  }
  [[nodiscard]] bool is_restarting() const { return state == NodeState::restarting || state == NodeState::waiting; }
  [[nodiscard]] bool is_temporary() const { return spec->restart == Restart::temporary; }
  [[nodiscard]] bool is_dormant() const { return dormant && spec->manual; }
  [[nodiscard]] bool is_supervisor() const { return supervises(spec->type); }
};

// A message in a supervisor's mailbox. The end of a later run can come before a ChildGone is handled, so ChildGone says
// which run it is about. TryAgain and DelayOver need no run: a child becomes `restarting` or `waiting` again only by
// messages that come later.
struct ChildGone {
  NodeId child;
  RunId run;
  ExitReason reason;
};
struct TryAgain {
  NodeId child;
};
struct DelayOver {
  NodeId child;
};
struct Stop {};
using Message = std::variant<ChildGone, TryAgain, DelayOver, Stop, OperationRequested>;

// The answer for which a job waits; it is handled before the mailbox.
struct Answer {
  enum class Kind : std::uint8_t { up, start_failed, down };
  NodeId supervisor;
  NodeId child;
  Kind kind;
};

}  // namespace bulkhead::supervision
