// The supervision tree: OTP's supervisor as a pure state machine. The rules of one supervisor, with the state diagram
// and the table of states and events, are in supervisor.h; this is the interface to the outside.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "master/supervision/child_spec.h"
#include "master/supervision/command.h"
#include "master/supervision/event.h"
#include "master/supervision/tree_state.h"

namespace bulkhead::supervision {

// A read-only view of one entry, for `tree` and `simulate`. Valid until the next step().
struct NodeView {
  NodeId id = 0;
  NodeId parent = 0;  // 0: the root
  std::string path;
  const ChildSpec* spec = nullptr;  // its `children` are those that a restart starts, not those that run now
  NodeState state = NodeState::stopped;
  RunId run = 0;                         // leaves: the current or last run
  std::uint64_t restarts = 0;            // how often this entry has been restarted
  Instant since{};                       // when it entered this state
  std::optional<Instant> due;            // waiting: when it restarts; starting: when its delayed start begins
  bool finished = false;                 // stopped, because it ended normally and is not restarted for that
  std::uint32_t restarts_in_window = 0;  // supervisors
  std::vector<NodeId> children;          // supervisors, in start order
};

// What a root does that ends by itself, because it gives up or by auto_shutdown.
enum class RootEnd : std::uint8_t {
  at_once,  // OTP: it stops its children
  // It emits TreeEnding and handles nothing more, like any supervisor that ends; but its children, and the supervision
  // below them, continue until StopRequested. So connections can be cared for first.
  asks
};

class Tree {
 public:
  // `root` must be of type supervisor; its id becomes "root". `seed` is used only for the jitter of restart delays.
  explicit Tree(ChildSpec root, std::uint64_t seed = 0, RootEnd root_end = RootEnd::at_once);
  ~Tree();
  Tree(const Tree&) = delete;
  Tree& operator=(const Tree&) = delete;

  // Applies one event and returns what must be done, in order. Never blocks, never fails, never asks for the time:
  // `now` is the only clock and must not go backwards, so a test can replay an hour of crashes in microseconds.
  [[nodiscard]] std::vector<Command> step(const Event& event, Instant now);

  // OTP's code change of a supervisor: new specs and flags for the existing entries, matched by id and type, and the
  // order of the new specs. It starts and stops nothing. Entries that the new specs do not name stay unchanged, after
  // the others, until their supervisor restarts; entries that only the new specs name begin then, or by start_child.
  // The restarts in the window still count.
  void update(ChildSpec root);
  // The same for one entry, if an entry of that type exists; the specs with which its supervisor restarts do not
  // change.
  void update(std::string_view path, ChildSpec spec);
  // The children with which the supervisor at `path` starts from now on, whatever starts it: itself or a supervisor
  // above it. It starts and stops nothing.
  void set_children(std::string_view path, std::vector<ChildSpec> children);

  // The tree as values, so that another program can continue with it. Not during a step, and not while an operation is
  // unanswered.
  [[nodiscard]] TreeState state() const;
  // Continues from a saved state, instead of Start. The tree must not have been started, and its root must have the
  // specs of the current configuration. `added` returns the spec of an entry that is not in them ("root/web/echo/7"),
  // or nothing. Returns what is wrong with the state, empty if nothing is. After an error the tree cannot be used.
  using FindAdded = std::function<std::optional<ChildSpec>(const std::string& path, NodeType type)>;
  [[nodiscard]] std::string restore(const TreeState& state, const FindAdded& added);

  // The latest time at which step(DeadlineReached{}, …) must be called; empty: never.
  [[nodiscard]] std::optional<Instant> next_deadline() const;

  [[nodiscard]] std::optional<NodeView> node(NodeId id, Instant now) const;
  [[nodiscard]] std::optional<NodeId> find(std::string_view path) const;  // "root", "root/web", "root/web/echo/2"
  [[nodiscard]] std::optional<NodeView> view(std::string_view path, Instant now) const;
  // The sibling for which an entry waits, or an exit or operation of it: it is being started or stopped. Nothing: it
  // does not wait.
  [[nodiscard]] std::optional<NodeId> waits_for(NodeId id) const;
  // An operation restart_group on it is under way.
  [[nodiscard]] bool restarts_group_of(std::string_view path) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// OTP's check of a child spec: a significant child must not be permanent, and its supervisor's auto_shutdown must not
// be never; ids are unique. Empty when valid, else a sentence.
[[nodiscard]] std::string check_child_spec(const ChildSpec& spec, AutoShutdown parent_auto_shutdown);

}  // namespace bulkhead::supervision
