// One reload under way: the configuration that it has read, its plan of changes, and the parts of the daemon that it
// uses. Its trial and its commit share it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "master/procedure/log_keeper.h"
#include "master/procedure/operations.h"
#include "master/procedure/renewal.h"
#include "master/procedure/scaling.h"
#include "master/reload/plan.h"
#include "master/reload/steps.h"
#include "master/running/catalogue.h"
#include "master/running/children.h"
#include "master/running/engine.h"
#include "master/running/later.h"
#include "master/running/lifeline.h"
#include "master/running/listeners.h"
#include "master/running/pool_users.h"

namespace bulkhead::reload {

struct Parts {
  running::Engine& engine;
  running::Catalogue& catalogue;
  running::PoolUsers& users;
  running::Listeners& listeners;
  running::Children& children;
  running::Later& later;
  procedure::Operations& operations;
  procedure::Scaling& scaling;
  procedure::LogKeeper& log;

  [[nodiscard]] procedure::RenewalParts for_renewal() const { return {engine, listeners, children, later}; }
};

class Attempt {
 public:
  using Done = procedure::Done;
  // Why a start at this path has failed in this reload; empty: unknown.
  using WhyNotStarted = std::function<std::string(const std::string& path)>;
  Attempt(Parts with, Steps& in, WhyNotStarted why) : parts(with), steps(in), why_(std::move(why)) {}

  // Takes over the configuration that has been read; everything of an earlier attempt is discarded. `reset_all`: what
  // operators have changed ends, too.
  void begin(std::shared_ptr<config::Config> new_config, std::string new_effective, ReloadPlan new_plan,
             bool reset_all);

  // The entry of the new configuration, even after that has taken effect.
  [[nodiscard]] config::Node* new_node(const std::string& path) const;
  // Workers on trial serve no client yet, so that a client never meets a configuration that is refused.
  void hold_for_trial(const std::string& path);
  void end_trial(const std::string& path);

  // Starts the new entry at `path`, unless its supervisor does not run and will start it later. What was removed from
  // there, and may still be ending, is waited for.
  void add(const std::string& path, const Done& done);
  // Another reload waits, and it may want back what this one waits for: that is given up. A trial fails by this; after
  // the trial, the attempt owes what it has not added.
  void hurry();
  [[nodiscard]] bool has_given_up() const noexcept { return has_given_up_; }
  void abandon() { while_patient_.cut(); }
  // The node is stopped, but not because anybody wanted it to be, or it finished.
  [[nodiscard]] bool waits_for_start(const std::string& path) const;
  // True if the node is in the tree, and has ended and is not started again by itself.
  [[nodiscard]] bool is_down(const std::string& path) const;
  // The node at `path` is not started after all, because it no longer runs.
  void take_spec_only(const std::string& path);
  // This attempt has started the entry at `path`. Otherwise an operator has, who asked for the same at the same time.
  [[nodiscard]] bool has_added(const std::string& path) const { return added_.contains(path); }
  // Stops it as an operator would, which drains a listener, and removes it. It has an answer even if it is gone.
  void end_child(const std::string& path, const Done& done);
  // Sockets stay, with the clients that wait in their queues, where an address goes from one listener to another.
  [[nodiscard]] net::Listener::Lend lend_to(const std::string& borrower);
  // This reload takes it, or something above it, back.
  [[nodiscard]] bool is_taken_back(const std::string& path) const;
  // With the reason, if the outcome is a failed start at `path`.
  [[nodiscard]] procedure::Outcome explained(procedure::Outcome outcome, const std::string& path) const;
  void operate(supervision::Operation operation, const std::string& path, const Done& done,
               supervision::ChildSpec spec = {});

  Parts parts;
  Steps& steps;
  std::shared_ptr<config::Config> config;  // the new one, until it takes effect; then null
  std::string effective;
  ReloadPlan plan;
  std::map<std::string, procedure::WorkerRenewal> renewals;  // by listener
  std::set<std::string> lenders;                             // listeners whose sockets others share for a while
  bool reset = false;
  // A child that does not start is left out, and the rest takes effect all the same. Set after begin().
  bool as_far_as_possible = false;

 private:
  void forget_ended(const std::string& path);
  void add_now(const std::string& path, const Done& done);

  WhyNotStarted why_;
  running::Lifeline while_patient_;
  std::function<void()> give_up_;  // while add() waits
  std::set<std::string> added_;
  bool in_a_hurry_ = false;
  bool has_given_up_ = false;
  [[nodiscard]] bool gives_up(const std::string& path, const config::ListenAddress& address) const;
  [[nodiscard]] std::optional<std::string> why_not_free(const std::string& path) const;
  [[nodiscard]] bool is_supervised(const std::string& path) const;
};

}  // namespace bulkhead::reload
