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
  stopped
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
  bool exit_pending = false;          // it is gone, and that waits in its supervisor's mailbox
  std::optional<Instant> ready_at;    // of the present run
  std::optional<Duration> ready_for;  // of the last run
  std::optional<Instant> due;         // waiting: when it restarts
  std::optional<Instant> deadline;    // under which it stands in the tree's list of deadlines
  Backoff backoff;
  Ending ending = Ending::none;
  std::string how;                         // a leaf's last end, in the edge's words; empty: as `ending` says
  std::vector<std::string> blame;          // a supervisor that ended: the chain of causes up to it
  std::unique_ptr<Supervisor> supervisor;  // while it runs, if it is one

  // OTP keeps one field, the pid: a process (that may be dead already), `restarting`, or undefined.
  [[nodiscard]] bool has_process() const {
    return exit_pending || state == NodeState::starting || state == NodeState::running || state == NodeState::stopping;
  }
  [[nodiscard]] bool is_restarting() const { return state == NodeState::restarting || state == NodeState::waiting; }
  [[nodiscard]] bool is_temporary() const { return spec->restart == Restart::temporary; }
  [[nodiscard]] bool is_supervisor() const { return supervises(spec->type); }
};

// What lies in a supervisor's mailbox. A ChildGone can be overtaken by the end of a later run, so it says which run it
// is about. TryAgain and DelayOver cannot: a child comes to be `restarting` or `waiting` again only by messages behind
// them.
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

// The answer that a busy supervisor waits for; it overtakes the mailbox.
struct Answer {
  enum class Kind : std::uint8_t { up, start_failed, down };
  NodeId supervisor;
  NodeId child;
  Kind kind;
};

}  // namespace bulkhead::supervision
