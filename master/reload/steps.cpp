#include "master/reload/steps.h"

#include <utility>

namespace bulkhead::reload {

void Steps::trial(Action action, Action undo) {
  steps_.push_back({std::move(action), std::move(undo)});
}

void Steps::optional_trial(Action action, Action undo) {
  steps_.push_back({std::move(action), std::move(undo), true});
}

void Steps::then(Action action) {
  steps_.push_back({std::move(action), nullptr});
}

void Steps::begin() {
  steps_.clear();
  undo_.clear();
  problems_.clear();
}

void Steps::run(std::function<void(End)> over) {
  over_ = std::move(over);
  next();
}

void Steps::abandon() {
  while_wanted_.cut();
  begin();
}

void Steps::next() {
  if (steps_.empty()) return over_({false, std::exchange(problems_, {})});
  const Step step = std::move(steps_.front());
  steps_.pop_front();
  step.action(while_wanted_([this, step](const procedure::Outcome& outcome) { answered(step, outcome); }));
}

void Steps::answered(const Step& step, const procedure::Outcome& outcome) {
  const bool trial = step.undo != nullptr;
  if (!outcome && trial && !step.optional) {
    steps_.clear();
    problems_.insert(problems_.begin(), outcome.text);
    return undo_next();
  }
  if (!outcome) problems_.push_back(outcome.text);
  if (trial && outcome) undo_.push_back(step.undo);
  later_(while_wanted_([this] { next(); }));
}

void Steps::undo_next() {
  if (undo_.empty()) return over_({true, std::exchange(problems_, {})});
  const Action undo = std::move(undo_.back());
  undo_.pop_back();
  undo(while_wanted_([this](const procedure::Outcome& outcome) {
    if (!outcome) problems_.push_back(outcome.text);
    later_(while_wanted_([this] { undo_next(); }));
  }));
}

}  // namespace bulkhead::reload
