// One running supervisor: an actor with a mailbox. It handles one message at a time and completes it, as a gen_server
// does, but completing it may require waiting for children to start or stop; later messages wait in order. Source of
// every rule: OTP 25, stdlib, supervisor(3) and supervisor.erl. Functions have OTP's names where possible.
//
//            start()                        intensity exceeded, auto_shutdown, Stop
//               |                                          |
//        +------v-----+  all children up  +---------+      |      +--------+  children stopped
//        |  starting  +------------------>| running +------+----->| ending +------------------> gone
//        +------+-----+                   +---------+             +---^----+   (up to the parent: exit `shutdown`,
//               |  a child does not start                             |         or `start failed`)
//               +-----------------------------------------------------+
//
// A `running` supervisor is idle or has a job: stop these children in reverse order, one after another, then start
// those in order, then finish. Answers to the job (up, start failed, down) overtake the mailbox; nothing else does.
//
//   message          | idle                                       | while starting, with a job, ending
//   -----------------+--------------------------------------------+------------------------------------------------
//   ChildGone        | the ladder below                           | waits; forgotten if the job stops or starts the
//                    |                                            | child anew
//   TryAgain         | restart again if the child is still        | waits
//                    | `restarting`, and count it                 |
//   DelayOver        | start what was delayed if the child is     | waits
//                    | still `waiting` for it; counted already    |
//   Stop             | end: stop all children in reverse order    | waits; ending: already on its way
//   Operation        | OTP's answer, at once or after a job       | waits; noproc when the supervisor has ended
//
// Children are started one at a time, except by start_children, which starts its children together and waits for all of
// them.
//
//   answer           | starting           | restart              | operation           | stopping any
//   -----------------+--------------------+----------------------+---------------------+-------------------------
//   up               | next child         | next child           | ok                  | -
//   start failed     | undo, start failed | `restarting`, post   | start_failed        | -
//                    |                    | TryAgain to ourself  |                     |
//   shortage         | the same           | `waiting` a little   | start_failed        | -
//   down             | -                  | -                    | -                   | next child
//
// The steps after an exit ("the ladder"): retired -> start it again, uncounted. permanent_failure -> `failed`. Then by
// restart type: permanent, or transient and abnormal -> restart; otherwise it stays `stopped`, or is removed if
// temporary, and if it was significant auto_shutdown is checked. A start that fails with a permanent failure counts as
// an exit, too: the job that started it continues with the next child, and the message about the exit waits in the
// mailbox; only an operator gets the answer start_failed. A restart is counted first (one too many ends the
// supervisor), may be delayed, and then follows the strategy. A group restart starts every member, including those
// stopped or finished before, except temporary ones, which are removed, and `failed` ones, which only an operator
// starts again.
//
// Beyond OTP, a delay: the group is stopped immediately, the child that caused the restart is `waiting`, the others are
// `stopped`, and the supervisor is idle. Any start or stop of the child during that time cancels the delay.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
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
  void receive(Message message);
  void handle_next();  // handles one message, if the supervisor is idle and has one
  void answered(Node& child, Answer::Kind kind);

  // New flags and a new order of its children. Children that the spec does not name come last.
  void spec_changed();

  [[nodiscard]] bool awaits(NodeId child) const { return std::ranges::find(awaited_, child) != awaited_.end(); }
  [[nodiscard]] const std::vector<NodeId>& children() const { return children_; }
  // Call it between two steps only. Operations that have not begun are left out.
  [[nodiscard]] SupervisorRecord record() const;
  // Continues from a saved state, instead of start(); false: the state makes no sense.
  [[nodiscard]] bool resume(const SupervisorRecord& record);
  [[nodiscard]] std::uint32_t restarts_in_window(Instant now) const { return intensity_.in_window(now); }

 private:
  // The present work of the supervisor. Each list is handled in order; `stops` comes first.
  struct Job {
    enum class Kind : std::uint8_t {
      start,
      restart,
      replace,
      terminate_child,
      restart_child,
      start_child,
      end,
      start_children
    };
    Kind kind;
    NodeId subject = 0;       // the child that the job is about
    std::uint64_t token = 0;  // operations
    Duration delay{};         // restart: between stopping and starting
    Cause cause{};            // end
    std::vector<NodeId> stops{};
    std::vector<NodeId> starts{};
    std::size_t next_stop = 0;
    std::size_t next_start = 0;
    std::vector<NodeId> added{};  // start_children: children that were not in the list before
    bool failed = false;          // start_children: one of them has failed
  };

  void handle(const ChildGone& message);
  void handle(const TryAgain& message);
  void handle(const DelayOver& message);
  void handle(const Stop& message);
  void handle(const OperationRequested& request);

  // Handling of an exit ("the ladder").
  void restart_child(Node& child, ExitReason reason);
  void finished(Node& child, NodeState state);
  [[nodiscard]] bool triggers_auto_shutdown(const Node& child) const;
  void restart(Node& child);
  [[nodiscard]] Duration delay_of_next_try(Node& child);
  void give_up(const Node& child);
  void end(Cause cause);

  // Operations of an operator.
  void terminate_child(std::uint64_t token, Node& child);
  void operator_restart(std::uint64_t token, Node& child);
  void delete_child(std::uint64_t token, Node& child);
  void start_child(const OperationRequested& request);
  void start_children(const OperationRequested& request);
  void which_children(std::uint64_t token);
  void reply(std::uint64_t token, ReplyError error);

  // The job.
  void begin(Job job);
  void advance();
  void stop_next();
  void start_next();
  void finish();
  void child_not_started(Node& child);
  void child_never_starts(Node& child);
  void postpone(Node& child);
  void ended(Cause cause);
  [[nodiscard]] Job group_restart(const Node& child) const;
  [[nodiscard]] std::vector<NodeId> restart_group(const Node& child) const;

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
  std::optional<Job> job_;
  bool starved_ = false;         // its own start failed because the system had no process or memory
  std::vector<NodeId> awaited_;  // the job continues after an answer from each of these
};

}  // namespace bulkhead::supervision
