#include "master/reload/trial.h"

#include <memory>
#include <utility>

#include "master/config/tree_of_config.h"

namespace bulkhead::reload {

namespace {

using procedure::Done;
using procedure::Outcome;
using supervision::ChildSpec;
using supervision::Operation;

void try_added(Attempt& attempt, const std::string& path) {
  const bool was_deleted = attempt.parts.catalogue.overrides().is_erased(path);
  const bool was_stopped = attempt.parts.catalogue.overrides().is_stopped(path);  // as a temporary child
  // Its start has ended what operators wished.
  const auto restore = [&attempt, path, was_deleted, was_stopped] {
    if (was_deleted) attempt.parts.catalogue.overrides().erase(path);
    if (was_stopped) attempt.parts.catalogue.overrides().stop(path);
  };
  const Steps::Action add = [&attempt, path, restore](const Done& done) {
    attempt.parts.children.try_generation(path, attempt.parts.catalogue.generation());
    attempt.add(path, [restore, done](const Outcome& added) {
      if (!added) restore();
      done(added);
    });
  };
  const Steps::Action undo = [&attempt, path, restore](const Done& done) {
    attempt.parts.children.forget_generation(path);
    if (!attempt.has_added(path)) return done({});
    // They have served no client, and shared queues belong to other listeners.
    for (net::Listener* listener : attempt.parts.listeners.below(path)) listener->close();
    attempt.end_child(path, [restore, done](const Outcome& ended) {
      restore();
      done(ended);
    });
  };
  if (attempt.as_far_as_possible) return attempt.steps.optional_trial(add, undo);
  attempt.steps.trial(add, undo);
}

// A listener that gets workers of the new generation beside the old ones.
class NewWorkers : public std::enable_shared_from_this<NewWorkers> {
 public:
  NewWorkers(Attempt& attempt, std::string path) : attempt_(attempt), path_(std::move(path)) {}

  void begin(const Done& done) {
    net::Listener* const listener = attempt_.parts.listeners.at(path_);
    const auto view = attempt_.parts.engine.view(path_);
    if (listener == nullptr || !view || !serves(*listener, view->state)) return done({});
    const config::Node& node = *attempt_.new_node(path_);
    before_.emplace(Before{listener->config(), view->spec->tag, attempt_.parts.catalogue.entry(view->spec->tag)});
    if (const auto error = listener->change(*node.listener, attempt_.lend_to(path_))) {
      return done(procedure::refused(path_ + ": " + error->text()));
    }
    describe({&node, attempt_.config});
    attempt_.parts.children.try_generation(path_, attempt_.parts.catalogue.generation());
    attempt_.hold_for_trial(path_);
    renewal().start_extra([self = shared_from_this(), done](const Outcome& started) {
      if (started) return done({});
      self->change_back();
      self->finish(done, self->attempt_.explained(started, self->path_));
    });
  }

  void undo(const Done& done) {
    const auto renewal = attempt_.renewals.find(path_);
    if (renewal == attempt_.renewals.end()) return done({});
    change_back();
    renewal->second.end_extra([self = shared_from_this(), done](const Outcome&) { self->finish(done, {}); });
  }

 private:
  [[nodiscard]] bool is_taken_back() const { return attempt_.is_taken_back(path_); }
  // One that is taken back may have closed its sockets.
  [[nodiscard]] bool serves(const net::Listener& listener, supervision::NodeState state) const {
    const bool stopped = supervision::has_ended(state);
    return !listener.is_ending() && !stopped && (listener.is_open() || is_taken_back());
  }
  procedure::WorkerRenewal& renewal() {
    const auto is_old = [now = attempt_.parts.catalogue.generation()](const process::WorkerProcess& worker) {
      return worker.generation < now;
    };
    return attempt_.renewals.try_emplace(path_, attempt_.parts.for_renewal(), path_, is_old).first->second;
  }
  // Workers that start from now on have what it says, the time that they may take included.
  void describe(const running::Catalogue::Entry& entry) {
    attempt_.parts.catalogue.put(before_->tag, entry);
    attempt_.parts.listeners.describe(path_, *entry.node);
  }
  // First, so that a worker that is restarted meanwhile has the configuration that stays.
  void change_back() {
    attempt_.parts.children.forget_generation(path_);
    describe(before_->entry);
    net::Listener* const listener = attempt_.parts.listeners.at(path_);
    if (listener != nullptr && listener->is_open() && !is_taken_back()) (void)listener->change(before_->config);
  }
  // Done last, because the workers on trial would serve until they are gone.
  void finish(const Done& done, Outcome outcome) {
    attempt_.parts.later([self = shared_from_this(), done, outcome = std::move(outcome)] {
      self->attempt_.renewals.erase(self->path_);
      self->attempt_.end_trial(self->path_);
      if (net::Listener* const listener = self->attempt_.parts.listeners.at(self->path_)) listener->close_left_over();
      done(outcome);
    });
  }

  struct Before {
    config::Listener config;
    std::uint32_t tag;
    running::Catalogue::Entry entry;
  };

  Attempt& attempt_;
  std::string path_;
  std::optional<Before> before_;
};

void try_new_workers(Attempt& attempt, const std::string& path) {
  const auto workers = std::make_shared<NewWorkers>(attempt, path);
  attempt.steps.trial([workers](const Done& done) { workers->begin(done); },
                      [workers](const Done& done) { workers->undo(done); });
}

// A process that takes the place of the one that runs; where it does not start, the other one is started again. Nothing
// is started that an operator stops meanwhile.
class Replacement : public std::enable_shared_from_this<Replacement> {
 public:
  Replacement(Attempt& attempt, std::string path) : attempt_(attempt), path_(std::move(path)) {}

  void begin(const Done& done) {
    const auto view = attempt_.parts.engine.view(path_);
    const bool interrupted = attempt_.waits_for_start(path_);
    if (!view || (attempt_.is_down(path_) && !interrupted)) {  // it has ended since this was planned
      attempt_.take_spec_only(path_);
      return done({});
    }
    running::Catalogue& catalogue = attempt_.parts.catalogue;
    before_.emplace(Before{*view->spec, catalogue.entry(view->spec->tag), !interrupted});
    const config::Node& node = *attempt_.new_node(path_);
    ChildSpec spec = config::tree_of_config(node);
    spec.tag = view->spec->tag;
    catalogue.put(spec.tag, {&node, attempt_.config});
    restart(std::move(spec), [self = shared_from_this(), done](const Outcome& started) {
      if (started) return done({});
      self->undo([self, done](const Outcome& undone) {
        if (!undone) self->attempt_.steps.note(undone.text);
        done(procedure::refused(self->path_ + " did not start with the new configuration"));
      });
    });
  }

  void undo(const Done& done) {
    if (!before_) return done({});
    attempt_.parts.catalogue.put(before_->spec.tag, before_->entry);
    if (!before_->ran) return end_again(done);
    restart(before_->spec, [self = shared_from_this(), done](const Outcome& started) {
      if (started) return done(started);
      self->leave_stopped();
      done(procedure::refused(self->path_ + " did not start again with the previous configuration, and is stopped"));
    });
  }

 private:
  struct Before {
    ChildSpec spec;
    running::Catalogue::Entry entry;
    bool ran;
  };

  void end_again(const Done& done) {
    attempt_.parts.engine.update(path_, before_->spec);
    attempt_.operate(Operation::terminate_child, path_, [self = shared_from_this(), done](const Outcome& ended) {
      self->leave_stopped();
      done(ended);
    });
  }
  // The next reload tries again, unless an operator has stopped it.
  void leave_stopped() {
    if (before_->spec.manual && !before_->ran) return;
    if (attempt_.is_down(path_) && !is_stopped()) attempt_.parts.catalogue.overrides().interrupt(path_);
  }
  [[nodiscard]] bool is_stopped() const { return attempt_.parts.catalogue.overrides().is_stopped(path_); }

  // Ends the running process and starts it as `spec` says.
  void restart(ChildSpec spec, const Done& done) {
    if (!attempt_.parts.engine.has(path_)) return start(spec, done);
    attempt_.parts.operations.keep(path_);
    const Done over = [self = shared_from_this(), done](const Outcome& outcome) {
      self->attempt_.parts.operations.release(self->path_);
      done(outcome);
    };
    attempt_.operate(Operation::terminate_child, path_,
                     [self = shared_from_this(), spec = std::move(spec), over](const Outcome& ended) {
                       if (!ended) return over(ended);
                       self->start(spec, over);
                     });
  }
  // It runs, so it is started again, even if operators had started it.
  static ChildSpec automatic(ChildSpec spec) {
    spec.manual = false;
    return spec;
  }
  // A temporary child has left the list with its end.
  void start(const ChildSpec& spec, const Done& done) {
    attempt_.parts.engine.update(path_, spec);
    if (is_stopped()) {
      attempt_.take_spec_only(path_);
      return done({});
    }
    if (!attempt_.parts.engine.has(path_))
      return attempt_.operate(Operation::start_child, path_, done, automatic(spec));
    attempt_.operate(Operation::restart_child, path_, done);
  }

  Attempt& attempt_;
  std::string path_;
  std::optional<Before> before_;
};

void try_process(Attempt& attempt, const std::string& path) {
  const auto process = std::make_shared<Replacement>(attempt, path);
  attempt.steps.trial([process](const Done& done) { process->begin(done); },
                      [process](const Done& done) { process->undo(done); });
}

// In the same turn of the loop as the plan, which says that this is possible.
void take_back(Attempt& attempt, const std::string& path) {
  attempt.steps.trial(
      [&attempt, path](const Done& done) {
        attempt.parts.operations.take_back(path);
        done({});
      },
      [&attempt, path](const Done& done) {
        attempt.parts.operations.discard(path, [](const Outcome&) {});
        done({});
      });
}

bool is_listener(const Attempt& attempt, const std::string& path) {
  const config::Node* const node = attempt.new_node(path);
  return node != nullptr && node->listener.has_value();
}

}  // namespace

void plan_trials(Attempt& attempt) {
  for (const Change& change : attempt.plan.changes) {
    if (change.kind == Change::Kind::taken_back) take_back(attempt, change.path);
  }
  for (const Change& change : attempt.plan.changes) {
    const bool back = change.kind == Change::Kind::taken_back && is_listener(attempt, change.path);
    if (change.kind == Change::Kind::added) try_added(attempt, change.path);
    if (change.kind == Change::Kind::new_workers || back) try_new_workers(attempt, change.path);
  }
  for (const Change& change : attempt.plan.changes) {
    const bool interrupted = change.kind == Change::Kind::started && attempt.waits_for_start(change.path);
    if (change.kind == Change::Kind::restarted || interrupted) try_process(attempt, change.path);
  }
}

}  // namespace bulkhead::reload
