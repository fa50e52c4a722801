// The sole owner of the supervision tree. It takes events, and passes the resulting commands to the Effects, one after
// another, in the tree's order. It knows no process, no socket and no configuration, and it reads an injected clock, so
// that a test can drive it with a script and without a fork.
//
//   event ──▶ Tree::step ──▶ command ──▶ Effects::start, stop, kill     the children
//                                   ├──▶ Effects::told                  the narrator, and the procedures that act on it
//                                   ├──▶ Effects::ending                the root would end by itself
//                                   ├──▶ Effects::over                  the root has ended
//                                   └──▶ the caller of operate()
//
// Events that an effect causes (a start that fails at once, an operator's next step) are queued and applied after the
// earlier commands, so nothing here recurses.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "master/host/clock.h"
#include "master/supervision/tree.h"

namespace bulkhead::running {

class Engine {
 public:
  // Carries commands out. May call apply() and operate() from within.
  class Effects {
   public:
    virtual ~Effects() = default;
    // Answered by a ChildReady or StartFailed for this run. `child` and `parent`, its supervisor, are valid during the
    // call only.
    virtual void start(const supervision::NodeView& child, const supervision::NodeView& parent,
                       supervision::RunId run) = 0;
    virtual void stop(supervision::RunId run) = 0;  // answered by ChildExited, like kill()
    virtual void kill(supervision::RunId run) = 0;
    virtual void told(const supervision::Report& report) = 0;
    // Nothing ends before StopRequested is applied: supervision::RootEnd::asks.
    virtual void ending(const supervision::TreeEnding& end) = 0;
    virtual void over(const supervision::TreeTerminated& end) = 0;
    virtual void settled() = 0;  // an event and everything that followed from it have been applied
  };
  using Answered = std::function<void(supervision::ReplyError)>;
  // Who gets the answer if another program takes over before it comes.
  enum class Asker : std::uint8_t {
    here,        // nobody: it must not take over yet
    everywhere,  // the asker, who asks the other program again
  };

  // `effects` must outlive it.
  Engine(supervision::ChildSpec root, std::uint64_t seed, Clock clock, Effects& effects);

  void apply(supervision::Event event);
  // One of OTP's operations on the child at `path`; answered exactly once, at once or later. `spec` is the child of
  // start_child, whose id names the path's last part.
  void operate(supervision::Operation operation, const std::string& path, Answered answered,
               supervision::ChildSpec spec = {}, Asker asker = Asker::here);
  // Operation::start_children.
  void start_together(const std::string& supervisor, std::vector<supervision::ChildSpec> children, Answered answered);

  // Valid until the next event.
  [[nodiscard]] std::optional<supervision::NodeView> view(const std::string& path) const;
  [[nodiscard]] std::optional<supervision::NodeView> view(supervision::NodeId node) const;
  [[nodiscard]] bool has(const std::string& path) const { return tree_.find(path).has_value(); }

  // The path of the node that this one waits for, so that it can be started or stopped, or what happened to it be
  // handled: one that stops or starts, for a restart of a group or an operator. Nothing: it waits for none.
  [[nodiscard]] std::optional<std::string> waits_for(supervision::NodeId node) const;

  [[nodiscard]] bool restarts_group_of(const std::string& path) const { return tree_.restarts_group_of(path); }

  // Tree::update() and set_children().
  void update(supervision::ChildSpec root) { tree_.update(std::move(root)); }
  void update(const std::string& path, supervision::ChildSpec spec) { tree_.update(path, std::move(spec)); }
  void set_children(const std::string& path, std::vector<supervision::ChildSpec> children) {
    tree_.set_children(path, std::move(children));
  }

  // When apply(DeadlineReached{}) is due; nothing: never.
  [[nodiscard]] std::optional<supervision::Instant> next_deadline() const { return tree_.next_deadline(); }

  // Nothing is queued, and no operation of Asker::here is unanswered: its state is whole, and another program can
  // continue with it.
  [[nodiscard]] bool is_quiet() const noexcept { return !turning_ && events_.empty() && !has_unanswered(); }
  [[nodiscard]] bool has_unanswered() const noexcept;
  [[nodiscard]] supervision::TreeState state() const { return tree_.state(); }
  // In place of Start. Returns the problem of the state; empty: none.
  [[nodiscard]] std::string restore(const supervision::TreeState& state, const supervision::Tree::FindAdded& added) {
    return tree_.restore(state, added);
  }

 private:
  void carry_out(const supervision::Command& command);
  void request(supervision::OperationRequested request, Answered answered, Asker asker);
  void answer(const supervision::Reply& reply);

  Clock clock_;
  Effects& effects_;
  supervision::Tree tree_;
  std::deque<supervision::Event> events_;
  bool turning_ = false;
  std::uint64_t last_token_ = 0;
  struct Unanswered {
    Answered answered;
    Asker asker = Asker::here;
  };
  std::map<std::uint64_t, Unanswered> unanswered_;
};

}  // namespace bulkhead::running
