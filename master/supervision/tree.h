// The supervision tree: OTP's supervisor as a pure state machine. The rules of one supervisor, with the state diagram
// and the table state × event, are in supervisor.h; here is how the outside meets them.
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

// A read-only picture of one entry, for `tree` and `simulate`. Valid until the next step().
struct NodeView {
  NodeId id = 0;
  NodeId parent = 0;  // 0: the root
  std::string path;
  const ChildSpec* spec = nullptr;  // `children` there is what a restart starts with, not what runs now
  NodeState state = NodeState::stopped;
  RunId run = 0;                         // leaves: the present or last run
  std::uint64_t restarts = 0;            // how often this entry was restarted, over its life
  Instant since{};                       // when it entered this state
  std::optional<Instant> due;            // waiting: when it restarts
  std::uint32_t restarts_in_window = 0;  // supervisors
  std::vector<NodeId> children;          // supervisors, in start order
};

class Tree {
 public:
  // `root` must be of type supervisor; its id becomes "root". `seed` feeds the jitter of restart delays and nothing
  // else.
  explicit Tree(ChildSpec root, std::uint64_t seed = 0);
  ~Tree();
  Tree(const Tree&) = delete;
  Tree& operator=(const Tree&) = delete;

  // Applies one event and returns what must now be done, in order. Never blocks, never fails, never asks the time:
  // `now` is the only clock and must not go backwards, so a test replays an hour of crashes in microseconds.
  [[nodiscard]] std::vector<Command> step(const Event& event, Instant now);

  // What OTP calls the code change of a supervisor: new specs and flags for what is there, matched by id and type, and
  // the order of the new specs. Nothing is started or stopped by it; what they do not name stays as it is, behind the
  // others, until its supervisor restarts, and what only they name begins then, or by start_child. The restarts in the
  // window still count.
  void update(ChildSpec root);
  // The same for one entry, if there is one of that type: what its supervisor restarts with stays as it was.
  void update(std::string_view path, ChildSpec spec);

  // The tree as values, so that another program goes on with it: not during a step, and not while an operation is
  // unanswered.
  [[nodiscard]] TreeState state() const;
  // Goes on from there, in place of Start: on a tree that has not been started and whose root says what the
  // configuration says now. `added` describes what is not in there ("root/web/echo/7"), or says nothing. Returns what
  // is wrong with the state, empty if nothing is; a tree that was given a wrong one is of no use.
  using FindAdded = std::function<std::optional<ChildSpec>(const std::string& path, NodeType type)>;
  [[nodiscard]] std::string restore(const TreeState& state, const FindAdded& added);

  // When step(DeadlineReached{}, …) must be called at the latest; nothing: not at all.
  [[nodiscard]] std::optional<Instant> next_deadline() const;

  [[nodiscard]] std::optional<NodeView> node(NodeId id, Instant now) const;
  [[nodiscard]] std::optional<NodeId> find(std::string_view path) const;  // "root", "root/web", "root/web/echo/2"
  [[nodiscard]] std::optional<NodeView> view(std::string_view path, Instant now) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// OTP's check of a child spec: a significant child must not be permanent and needs its supervisor's auto_shutdown other
// than never; ids are unique. Empty when valid, else a sentence.
[[nodiscard]] std::string check_child_spec(const ChildSpec& spec, AutoShutdown parent_auto_shutdown);

}  // namespace bulkhead::supervision
