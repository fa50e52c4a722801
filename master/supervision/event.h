// The events of a supervision tree. The edge (the daemon, or the simulator) turns the outside world into these
// events.
#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "master/supervision/child_spec.h"

namespace bulkhead::supervision {

// One entry in a supervisor's list of children, unique for the life of the Tree and never reused.
using NodeId = std::uint32_t;
inline constexpr NodeId kRoot = 1;

// One start of a leaf. Unique for the life of the Tree, so that events of an earlier run can be recognised and dropped.
using RunId = std::uint64_t;

enum class ExitReason : std::uint8_t {
  normal,             // exit status listed in normal_exit
  shutdown,           // an end that counts as clean by itself (OTP's shutdown and {shutdown, _})
  abnormal,           // any other status, any signal
  permanent_failure,  // exit status listed in permanent_failure_exit: not restarted, whatever `restart` says; `failed`
  retired,            // it ended because the edge asked it to, not the tree: replaced at once, not counted
  shortage            // of a start: the system had no process or memory for it: tried again later, not counted
};

// clang-format off
struct Start {};  // bring the root up; once
struct ChildReady { NodeId node; RunId run; };  // the start attempt succeeded
// The start attempt failed and left nothing running. Two reasons make a difference: after permanent_failure the start is
// not tried again; after shortage a restart is tried again later, and not counted. `how`, here and below, describes the end as a predicate for the chain of causes: "was killed by SIGSEGV". It
// may be empty, and is kept until the next start.
struct StartFailed { NodeId node; RunId run; ExitReason reason = ExitReason::abnormal; std::string how = {}; };
// A run that had become ready, or was being stopped, ended.
struct ChildExited { NodeId node; RunId run; ExitReason reason; std::string how = {}; };
struct DeadlineReached {};  // time has passed: act on everything due at `now`
struct StopRequested {};    // the root must shut down
// clang-format on

// An operation of an operator, answered by exactly one Reply with the same token. `supervisor` is a path ("root/web").
// which_children returns the list as it is when the supervisor gets to the request, as in OTP. start_children is not in
// OTP: it starts several children at once, those already in the list as restart_child does and the others as
// start_child does, and answers when each is ready or has failed. Nor is restart_group: an operator's restart of a
// child together with what its supervisor's strategy ties to it, as far as that runs, in OTP's order and without being
// counted. withdraw_child is terminate_child of a child that leaves for good or is about to be started again: if its
// group restarts, the others are started without it.
enum class Operation : std::uint8_t {
  terminate_child,
  restart_child,
  delete_child,
  start_child,
  which_children,
  start_children,
  restart_group,
  withdraw_child
};
// These do not wait for a child that is starting.
[[nodiscard]] constexpr bool ends_starts(Operation operation) noexcept {
  return operation == Operation::terminate_child || operation == Operation::withdraw_child ||
         operation == Operation::restart_group;
}
struct OperationRequested {
  std::uint64_t token;
  Operation operation;
  std::string supervisor;
  std::string id;  // of what concerns one child
  ChildSpec spec;  // start_child: the child; start_children: its children are the ones to start
};

using Event =
    std::variant<Start, ChildReady, StartFailed, ChildExited, DeadlineReached, StopRequested, OperationRequested>;

}  // namespace bulkhead::supervision
