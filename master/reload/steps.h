// The steps of a reload, one after another: first trials, each with its undoing, then steps that can no longer fail.
// When a trial fails, everything that was done before it is undone, the latest first, and no step after it is carried
// out. Later steps cannot be undone; their failures are collected, and the rest is carried out. Decisions only: it
// knows no listener and no process.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "master/procedure/outcome.h"
#include "master/running/later.h"
#include "master/running/lifeline.h"

namespace bulkhead::reload {

class Steps {
 public:
  // Calls `done` exactly once, at once or later.
  using Action = std::function<void(const procedure::Done& done)>;
  struct End {
    bool undone = false;
    std::vector<std::string> problems;  // first of the trial that failed, then of its undoing; or of later steps
  };

  // `later` must outlive it.
  explicit Steps(running::Later& later) : later_(later) {}

  void trial(Action action, Action undo);
  // One whose failure is only noted, and ends nothing.
  void optional_trial(Action action, Action undo);
  void then(Action action);
  // An action may add further steps, and note problems in addition to its own outcome.
  void note(std::string problem) { problems_.push_back(std::move(problem)); }

  // Clears the state of an earlier run. `over` is not called after abandon().
  void begin();
  void run(std::function<void(End)> over);
  // Ignores later answers. Steps that have been carried out are not undone.
  void abandon();

 private:
  struct Step {
    Action action;
    Action undo;  // a trial's
    bool optional = false;
  };
  void next();
  void undo_next();
  void answered(const Step& step, const procedure::Outcome& outcome);

  running::Later& later_;
  running::Lifeline while_wanted_;
  std::deque<Step> steps_;
  std::vector<Action> undo_;
  std::vector<std::string> problems_;
  std::function<void(End)> over_;
};

}  // namespace bulkhead::reload
