// One running supervisor: an actor with a mailbox. It handles one message at a time; completing it may require waiting
// for children to start or stop, and meanwhile it handles what concerns other children. Source of every rule but that
// one: OTP 25, stdlib, supervisor(3) and supervisor.erl. Functions have OTP's names where possible.
//
//            start()                        intensity exceeded, auto_shutdown, Stop
//               |                                          |
//        +------v-----+  all children up  +---------+      |      +--------+  children stopped
//        |  starting  +------------------>| running +------+----->| ending +------------------> gone
//        +------+-----+                   +---------+             +---^----+   (up to the parent: exit `shutdown`,
//               |  a child does not start                             |         or `start failed`)
//               +-----------------------------------------------------+
//
// What takes time is a job: stop these children in reverse order, one after another, then start those in order, then
// finish. A job occupies its children, all of them until it is done: a stop, start, retry or delay of one child that
// child, a group restart its group. Only two kinds let each child go as soon as it is up: the supervisor's first start
// under one_for_one, and start_children. Under the other strategies the first start occupies everything.
//
// Siblings go on: a message waits while a child that it would touch is occupied, or is touched by an earlier message
// that waits; otherwise it is handled and counted in order of arrival.
//
//   message          | touches                  | handled
//   -----------------+--------------------------+------------------------------------------------------------------
//   ChildGone        | the child; its group if  | the ladder below; forgotten if the child was stopped or started again
//                    | a group restart follows  |
//   TryAgain         | the child's group        | restart again if the child is still `restarting`, and count it
//   DelayOver        | the child's group        | start what was delayed if the child is still `waiting` for it;
//                    |                          | counted already
//   Stop             | nothing                  | end: interrupt all jobs, stop all children in reverse order
//   Operation        | the children it names    | OTP's answer, at once or after a job; noproc when the supervisor has
//                    |                          | ended
//
// Two exits wait for more: one that ends the supervisor by auto_shutdown for the end of its first start, and one for
// which it gives up for restarts that are being attempted, as in OTP. Once it ends, nothing is handled. The end of a
// root that ends by itself may be held before its first stop, until its owner is ready for it (RootEnd::asks).
//
// Some operations do not wait for a child that is starting. terminate_child, withdraw_child and restart_group end the
// start, which is reported as failed, and are then handled. While a restart is being attempted, restart_child and
// delete_child answer `restarting` and start_child `already_present`, as between two attempts.
//
// Children are started one at a time, except by start_children, which starts its children together and waits for all of
// them.
//
//   answer           | starting           | restart              | other operation     | stopping any
//   -----------------+--------------------+----------------------+---------------------+-------------------------
//   up               | next child         | next child           | ok                  | -
//   start failed     | undo, start failed | `restarting`, post   | start_failed        | next child
//                    |                    | TryAgain to ourself  |                     |
//   shortage         | the same           | `waiting` a little   | start_failed        | next child
//   called off by an | next child         | as start failed;     | start_failed        | -
//   operator         |                    | withdrawn: next      |                     |
//                    |                    | child                |                     |
//   down             | -                  | -                    | -                   | next child
//
// The steps after an exit ("the ladder"): retired -> start it again, uncounted. permanent_failure -> `failed`. Then by
// restart type: permanent, or transient and abnormal -> restart; otherwise it stays `stopped`, or is removed if
// temporary, and if it was significant auto_shutdown is checked. A start that fails with a permanent failure counts as
// an exit, too: the job that started it continues with the next child, and the message about the exit waits for that
// job; only an operator gets the answer start_failed. A restart is counted first (one too many ends the
// supervisor), may be delayed, and then follows the strategy. A group restart starts every member, including those
// stopped or finished before, except temporary ones, which are removed, and `failed` ones, which only an operator
// starts again.
//
// An operator's restart_group counts nothing, has no delay, and leaves alone what has ended, except the child itself.
// If a start fails, the operator gets that as the answer, and the child is treated as after a failed restart.
//
// Beyond OTP, a manual child: a supervisor's start and start_child leave it `stopped`, and so does a group restart once
// it has ended for good, until restart_child starts it.
//
// Beyond OTP, a delayed start: a child with a start_delay is `starting` from the moment when its turn has come, and is
// awaited like any other; it has no process until the delay is over. A stop of it is immediate, and a
// supervisor that ends does not begin it.
//
// Beyond OTP, a delay: the group is stopped immediately, the child that caused the restart is `waiting`, the others are
// `stopped`, and nothing is occupied. Any start or stop of the child during that time cancels the delay.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "master/supervision/node.h"
#include "master/supervision/restart_intensity.h"
#include "master/supervision/tree_state.h"

namespace bulkhead::supervision {

class TreeContext;

class Supervisor {
 public:
  Supervisor(TreeContext& tree, Node& self);

  void start();
  // The root only: an end of its own may begin now (TreeEnding). False: none waits for that.
  [[nodiscard]] bool proceed();
  void receive(Message message);
  void handle_next();  // handles one message, if one need not wait
  void answered(NodeId child, Answer::Kind kind);

  // New flags and a new order of its children. Children that the spec does not name come last.
  void spec_changed();

  [[nodiscard]] bool awaits(NodeId child) const;
  // The child that `child`, or a message about it, waits for: it is being started or stopped. Nothing: it does not
  // wait.
  [[nodiscard]] std::optional<NodeId> waits_for(const Node& child) const;
  // An operation restart_group on it is under way.
  [[nodiscard]] bool restarts_group_of(NodeId child) const;
  [[nodiscard]] const std::vector<NodeId>& children() const { return children_; }
  // Call it between two steps only. Operations that have not begun are left out.
  [[nodiscard]] SupervisorRecord record() const;
  // Continues from a saved state, instead of start(); false: the state makes no sense.
  [[nodiscard]] bool resume(const SupervisorRecord& record);
  [[nodiscard]] std::uint32_t restarts_in_window(Instant now) const { return intensity_.in_window(now); }

 private:
  // A piece of work of the supervisor. Each list is handled in order; `stops` comes first.
  struct Job {
    enum class Kind : std::uint8_t {
      start,
      restart,
      replace,
      terminate_child,
      restart_child,
      start_child,
      end,
      start_children,
      restart_group
    };
    Kind kind;
    NodeId subject = 0;       // the child that the job is about
    std::uint64_t token = 0;  // operations
    Duration delay{};         // restart: between stopping and starting
    Cause cause{};            // end
    bool held = false;        // end: waits for proceed()
    std::vector<NodeId> stops{};
    std::vector<NodeId> starts{};
    std::size_t next_stop = 0;
    std::size_t next_start = 0;
    std::vector<NodeId> awaited{};  // continues after an answer from each
    bool starting = false;          // what is awaited is starting; otherwise it is stopping
    std::vector<NodeId> added{};    // start_children: children that were not in the list before
    bool failed = false;            // start_children, restart_group: one of them has failed
  };
  using Jobs = std::list<Job>;  // a job stays where it is while others come and go
  using Ids = std::vector<NodeId>;

  void handle(const ChildGone& message);
  void handle(const TryAgain& message);
  void handle(const DelayOver& message);
  void handle(const Stop& message);
  void handle(const OperationRequested& request);

  // What waits for what.
  [[nodiscard]] std::deque<Message>::iterator next_message();
  [[nodiscard]] Ids touched_by(const Message& message) const;
  [[nodiscard]] Ids touched_by(const ChildGone& message) const;
  [[nodiscard]] Ids touched_by_restart(const Node& child) const;
  [[nodiscard]] Ids touched_by(const OperationRequested& request) const;
  [[nodiscard]] bool asks_about_attempt(const Message& message) const;
  [[nodiscard]] bool occupies(const Job& job, NodeId child) const;
  [[nodiscard]] bool is_independent(const Job& job) const;
  [[nodiscard]] const Job* occupant(NodeId child) const;
  [[nodiscard]] bool is_attempted(const Node& child) const;
  [[nodiscard]] bool is_restarting(const Node& child) const { return child.is_restarting() || is_attempted(child); }
  [[nodiscard]] bool is_stopped_by_operator(NodeId child) const;
  [[nodiscard]] bool is_ending() const { return occupied_by(Job::Kind::end); }
  [[nodiscard]] bool occupied_by(Job::Kind kind) const;
  void make_way(const Message& message);

  // Handling of an exit ("the ladder").
  [[nodiscard]] const ChildGone* news(const ChildGone& message) const;
  [[nodiscard]] static bool calls_for_restart(const Node& child, ExitReason reason);
  void restart_child(Node& child, ExitReason reason);
  void finished(Node& child, NodeState state);
  [[nodiscard]] bool triggers_auto_shutdown(const Node& child) const;
  void restart(Node& child);
  [[nodiscard]] Duration delay_of_next_try(Node& child);
  void give_up(const Node& child);
  void end(Cause cause);
  void answer_noproc();

  // Operations of an operator.
  void terminate_child(std::uint64_t token, Node& child);
  void operator_restart(std::uint64_t token, Node& child);
  [[nodiscard]] bool is_to_come_back(const Node& child) const;
  void operator_restart_group(std::uint64_t token, const Node& child);
  void delete_child(std::uint64_t token, Node& child);
  void start_child(const OperationRequested& request);
  void start_children(const OperationRequested& request);
  void which_children(std::uint64_t token);
  void reply(std::uint64_t token, ReplyError error);

  // The job.
  void begin(Job job);
  void advance(Job& job);
  void stop_next(Job& job);
  void start_next(Job& job);
  void finish(Job& job);
  [[nodiscard]] Job take(const Job& job);  // off the list
  void take_answer(Job& job, NodeId child, Answer::Kind kind);
  void child_not_started(Job& job, Node& child);
  void leave_out(Job& job, NodeId child);
  void restart_failed(const Job& job, Node& child);
  void child_never_starts(Node& child);
  void postpone(Node& child);
  void ended(Cause cause);
  [[nodiscard]] bool resume(const JobRecord& record);
  [[nodiscard]] Job group_restart(const Node& child) const;
  [[nodiscard]] Ids restart_group(const Node& child) const;

  void settle(Node& child);
  Node& add_child(std::shared_ptr<const ChildSpec> spec);
  void remove_child(NodeId child);
  [[nodiscard]] Node* find_child(std::string_view id) const;
  [[nodiscard]] const SupervisorFlags& flags() const { return self_.spec->flags; }

  TreeContext& tree_;
  Node& self_;
  RestartIntensity intensity_;
  std::vector<NodeId> children_;
  std::deque<Message> mailbox_;
  Jobs jobs_;
  std::vector<std::uint64_t> interrupted_;  // tokens of operations that our end has cut short
  bool starved_ = false;                    // its own start failed because the system had no process or memory
};

}  // namespace bulkhead::supervision
