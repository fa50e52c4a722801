// The commands of step(), in order. Actions (StartChild, StopChild, KillChild) go to master/process; a Reply goes back
// to an operator; a Report is for the event ring, the log and `explain`; TreeEnding and TreeTerminated end the daemon.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "master/supervision/event.h"

namespace bulkhead::supervision {

enum class NodeState : std::uint8_t {
  starting,  // its start attempt is under way
  running,
  waiting,     // a restart is delayed
  restarting,  // to be tried again immediately (OTP's `restarting`)
  stopping,
  stopped,  // in the list, not running: finished (transient), or stopped by an operator
  failed    // ended with a permanent failure
};

// It is not running, and nothing will start it by itself.
[[nodiscard]] constexpr bool has_ended(NodeState state) noexcept {
  return state == NodeState::stopped || state == NodeState::failed;
}

// clang-format off
struct StartChild { NodeId node; RunId run; };  // answer with ChildReady or StartFailed for this run
struct StopChild { NodeId node; RunId run; };  // ask it to end (TERM, CONT); answer with ChildExited once it is gone
struct KillChild { NodeId node; RunId run; };  // SIGKILL; ChildExited follows

enum class ReplyError : std::uint8_t {
  none, not_found, running, restarting, already_started, already_present, start_failed, invalid_spec, noproc
};
struct ChildStatus { std::string id; NodeType type; NodeState state; };
struct Reply { std::uint64_t token; ReplyError error; std::vector<ChildStatus> children = {}; };  // which_children only
// clang-format on

// Why a supervisor ended: on request (the root: request, others: parent), or by itself.
enum class Cause : std::uint8_t { request, parent, intensity, auto_shutdown, start_failed };

// Reports carry the path, because the entry may no longer exist when they are read. They come in exactly the order of
// the events, and only for events on which the tree acted: events of an unknown or earlier run are silently dropped.
// clang-format off
namespace report {
struct SupervisorStarted { NodeId node; std::string path; };  // begins to start; its children follow, each as a new node
// Reported after its children. The entries below it are removed with it, without a ChildRemoved for each.
struct SupervisorTerminated { NodeId node; std::string path; Cause cause; };
struct ChildStarted { NodeId node; std::string path; RunId run; };  // the attempt begins
struct ChildReady { NodeId node; std::string path; RunId run; };
struct StartFailed { NodeId node; std::string path; RunId run; };
struct ChildStopping { NodeId node; std::string path; RunId run; bool kill; };
// Reported when the exit becomes known, which is before its supervisor acts on it. `asked`: after a StopChild or
// KillChild.
struct ChildExited { NodeId node; std::string path; RunId run; ExitReason reason; bool asked; };
// A restart was decided and counted; it happens after `delay`. In a group restart only the child that caused it is
// reported. Not reported for ExitReason::retired, which does not count as a restart.
struct ChildRestarting { NodeId node; std::string path; Duration delay; std::uint32_t restarts_in_window; };
// A restart met a shortage of processes or memory: it is tried again after `delay`, without being counted.
struct RestartPostponed { NodeId node; std::string path; Duration delay; };
struct ChildRemoved { NodeId node; std::string path; };
// One restart too many: the supervisor `path` gives up because of `child` (also a path).
struct IntensityExceeded { NodeId node; std::string path; std::string child; std::uint32_t max_restarts; Duration max_seconds; };
}  // namespace report
// clang-format on

using Report =
    std::variant<report::SupervisorStarted, report::SupervisorTerminated, report::ChildStarted, report::ChildReady,
                 report::StartFailed, report::ChildStopping, report::ChildExited, report::ChildRestarting,
                 report::RestartPostponed, report::ChildRemoved, report::IntensityExceeded>;

// The root has ended. `chain` lists the causes in plain sentences, from the first child that failed up to the root.
struct TreeTerminated {
  Cause cause;
  std::vector<std::string> chain;
  bool shortage = false;  // start_failed: because the system had no process or memory
};

// The root is about to end by itself, with this cause; only of a tree whose root asks first (RootEnd::asks).
struct TreeEnding {
  Cause cause;
  std::vector<std::string> chain;
  bool shortage = false;
};

using Command = std::variant<StartChild, StopChild, KillChild, Reply, Report, TreeEnding, TreeTerminated>;

}  // namespace bulkhead::supervision
