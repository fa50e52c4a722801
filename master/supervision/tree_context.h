// The data that the supervisors of one tree share: the entries, the time of this step, the commands, deadlines and
// mail. It has no rules, except how the start, stop and end of one node are carried out. Internal to supervision/.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "master/supervision/node.h"
#include "master/supervision/tree_state.h"

namespace bulkhead::supervision {

class TreeContext {
 public:
  TreeContext(std::uint64_t seed, bool root_asks);
  ~TreeContext();
  TreeContext(const TreeContext&) = delete;
  TreeContext& operator=(const TreeContext&) = delete;

  [[nodiscard]] Node* find(NodeId id) const;
  Node& add(NodeId parent, std::shared_ptr<const ChildSpec> spec, std::string path);
  void remove(NodeId id);

  [[nodiscard]] Instant now() const { return now_; }
  void set_now(Instant now) { now_ = now; }
  [[nodiscard]] Jitter& jitter() { return jitter_; }
  // A root that ends by itself waits until it may (RootEnd::asks).
  [[nodiscard]] bool root_asks() const { return root_asks_; }
  void set_state(Node& node, NodeState state);

  // For leaves and supervisors. An Answer always follows start(); it follows stop() unless that returns false, because
  // the node was not alive. A node that is starting is stopped like any other, and one that is stopping already is only
  // waited for.
  void start(Node& node);
  // The same for a leaf that has no process before the delay is over. stop() ends the wait, and returns false.
  void start_later(Node& node, Duration delay);
  void start_now(Node& node);  // the delay is over
  [[nodiscard]] bool stop(Node& node);
  void wait(Node& node, Duration delay);  // the state becomes waiting; DelayOver follows
  void forget_run(Node& node);            // what happens to its run no longer matters; the state becomes stopped

  // Events of a node. They go to the supervisor that waits for them, otherwise into its mailbox.
  void up(Node& node);
  void start_failed(Node& node, ExitReason reason);
  void gone(Node& node, ExitReason reason);
  void supervisor_gone(Node& node);  // the same for a supervisor; its object exists until the end of the step

  void post(NodeId supervisor, Message message);
  void schedule(NodeId supervisor) { runnable_.push_back(supervisor); }
  void run();  // returns when no supervisor has anything to do
  void act_on_deadlines();
  [[nodiscard]] std::optional<Instant> next_deadline() const;

  void emit(Command command) { commands_.push_back(std::move(command)); }
  void report(Report report) { commands_.emplace_back(std::move(report)); }
  [[nodiscard]] std::vector<Command> take_commands();

  // Call these between two steps only.
  [[nodiscard]] TreeState state() const;
  using FindSpec = std::function<std::shared_ptr<const ChildSpec>(const std::string& path, NodeType type,
                                                                  const std::shared_ptr<const ChildSpec>& parent)>;
  // Replaces all nodes. Returns what is wrong with the state; after an error this object cannot be used.
  [[nodiscard]] std::string resume(const TreeState& state, const FindSpec& find_spec);

 private:
  [[nodiscard]] std::string resume_node(const NodeRecord& record, const FindSpec& find_spec);
  void prepare_start(Node& node);
  void begin_leaf(Node& node);
  void kill(Node& node);
  void arm(Node& node, Duration delay);
  void disarm(Node& node);
  [[nodiscard]] bool is_awaited(const Node& node) const;
  void answer(const Node& node, Answer::Kind kind);
  void deliver(const Answer& answer);

  Instant now_{};
  Jitter jitter_;
  bool root_asks_;
  NodeId last_id_ = 0;
  RunId last_run_ = 0;
  std::unordered_map<NodeId, std::unique_ptr<Node>> nodes_;
  std::set<std::pair<Instant, NodeId>> deadlines_;
  std::deque<Answer> answers_;
  std::deque<NodeId> runnable_;
  std::vector<Command> commands_;
  std::vector<std::unique_ptr<Supervisor>> ended_;  // may still be on the call stack
};

}  // namespace bulkhead::supervision
