// The invariants of a supervision tree, checked from outside after every step, and a random life for it. The property
// test feeds it from a generator, the fuzzer from its bytes.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "master/supervision/tree.h"

namespace bulkhead::supervision::testing {

struct InvariantViolated : std::logic_error {
  using std::logic_error::logic_error;
};

// A Tree under observation. It knows the processes only from the commands and its own answers, and the history only
// from the reports.
class WatchedTree {
 public:
  enum class Phase : std::uint8_t { starting, running, stopping };
  struct Process {
    NodeId node;
    Phase phase;
    bool killed = false;
  };

  // Its root asks before it ends by itself, if the seed is odd.
  WatchedTree(const ChildSpec& root, std::uint64_t seed);

  // Throws InvariantViolated.
  void step(const Event& event, Instant now);

  // New specs for the existing entries, at any moment.
  void update(const ChildSpec& root);

  // Lets everything come to rest: every start succeeds, every stop is obeyed, every deadline passes. Then checks what
  // must hold at rest: all operations are answered, no supervisor waits, and a stopped tree has ended.
  void settle(Instant now);

  [[nodiscard]] const std::map<RunId, Process>& processes() const { return processes_; }
  [[nodiscard]] const Tree& tree() const { return tree_; }
  [[nodiscard]] bool is_over() const { return over_; }

 private:
  struct Window {
    std::optional<std::uint32_t> max_restarts;
    Duration max_seconds;
    std::deque<Instant> restarts{};
    NodeId last_stopped = 0;  // since it is ending
  };

  void note(const Event& event);
  void check(const StartChild& command);
  void check(const StopChild& command);
  void check(const KillChild& command);
  void check(const Reply& command);
  void check(const Report& report);
  void check(const TreeEnding& command);
  void check(const TreeTerminated& command);
  void check_report(const report::SupervisorStarted& report);
  void check_report(const report::SupervisorTerminated& report);
  void check_report(const report::ChildStopping& report);
  void check_report(const report::ChildExited& report);
  void check_report(const report::ChildRestarting& report);
  void check_report(const report::IntensityExceeded& report);
  template <typename Other>
  void check_report(const Other&) {}

  void note_who_is_ending(NodeId id);
  void take_new_limits(NodeId id);
  void check_views();
  // How many leaves have a process: this node or the ones below it.
  [[nodiscard]] std::size_t check_view(const NodeView& view);
  [[nodiscard]] std::size_t check_leaf(const NodeView& view);
  [[nodiscard]] std::size_t check_supervisor(const NodeView& view);
  [[nodiscard]] bool is_settled(NodeId id) const;
  static void require(bool holds, const char* what);

  Tree tree_;
  Instant now_{};
  std::map<RunId, Process> processes_;
  std::set<std::string> ending_;  // supervisors that were, before this step
  std::set<std::uint64_t> unanswered_;
  std::set<RunId> runs_;         // that have begun
  std::set<RunId> delayed_;      // that have had their numbers before they began
  std::set<std::string> named_;  // paths of children that some operation was to start, or that were not manual
  std::map<std::string, Window> windows_;  // of the running supervisors, by path
  bool reordered_ = false;                 // an update may give the children another order
  bool asked_ = false;                     // the root would end by itself
  bool stop_requested_ = false;
  bool over_ = false;
};

// The source of a random life's decisions: choose(n) returns 0 to n-1, and always 0 when the source is used up.
struct Choices {
  virtual ~Choices() = default;
  virtual std::uint32_t choose(std::uint32_t n) = 0;
  [[nodiscard]] virtual bool dried_up() const { return false; }
};

[[nodiscard]] ChildSpec random_tree(Choices& choices);

// Plays up to `events` random events and then settles. Throws InvariantViolated.
void live(WatchedTree& tree, Choices& choices, int events);

}  // namespace bulkhead::supervision::testing
