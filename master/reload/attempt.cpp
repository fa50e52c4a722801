#include "master/reload/attempt.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "master/config/find_node.h"
#include "master/config/listen_address.h"
#include "master/config/tree_of_config.h"
#include "master/reload/differences.h"
#include "master/supervision/path.h"

namespace bulkhead::reload {

using net::Gate;
using procedure::Outcome;
using supervision::is_at_or_below;
using supervision::NodeState;
using supervision::Operation;

void Attempt::begin(std::shared_ptr<config::Config> new_config, std::string new_effective, ReloadPlan new_plan,
                    bool reset_all) {
  config = std::move(new_config);
  effective = std::move(new_effective);
  plan = std::move(new_plan);
  renewals.clear();
  lenders.clear();
  added_.clear();
  reset = reset_all;
  in_a_hurry_ = has_given_up_ = false;
  steps.begin();
}

bool Attempt::waits_for_start(const std::string& path) const {
  return parts.catalogue.overrides().is_interrupted(path) ||
         is_dormant({parts.engine, parts.catalogue, parts.listeners}, path);
}

bool Attempt::is_down(const std::string& path) const {
  const auto view = parts.engine.view(path);
  return view && supervision::has_ended(view->state);
}

void Attempt::take_spec_only(const std::string& path) {
  for (Change& change : plan.changes) {
    if (change.path == path && change.kind == Change::Kind::restarted) change.kind = Change::Kind::in_place;
  }
}

config::Node* Attempt::new_node(const std::string& path) const {
  return config ? config::find_node(config->root, "root", path) : parts.catalogue.find_in_config(path);
}

void Attempt::hold_for_trial(const std::string& path) {
  for (net::Listener* listener : parts.listeners.below(path)) listener->gate().hold(Gate::Holder::trial);
}

void Attempt::end_trial(const std::string& path) {
  for (net::Listener* listener : parts.listeners.below(path)) listener->gate().release(Gate::Holder::trial);
}

Outcome Attempt::explained(Outcome outcome, const std::string& path) const {
  if (outcome.word != supervision::ReplyError::start_failed) return outcome;
  if (const std::string why = why_(path); !why.empty()) outcome.text += "; " + why;
  return outcome;
}

void Attempt::operate(Operation operation, const std::string& path, const Done& done, supervision::ChildSpec spec) {
  parts.engine.operate(
      operation, path,
      [this, path, done](supervision::ReplyError error) {
        using supervision::ReplyError;
        if (error == ReplyError::none) return done({});
        done(explained(procedure::negative(error, fmt::format("{}: {}", path, procedure::word_of(error))), path));
      },
      std::move(spec));
}

void Attempt::end_child(const std::string& path, const Done& done) {
  const auto view = parts.engine.view(path);
  const auto tag = view ? std::optional(view->spec->tag) : std::nullopt;
  parts.operations.discard(path, [this, path, tag, done](const Outcome& gone) {
    if (gone && !parts.engine.has(path)) {  // else it was taken back
      if (tag) parts.catalogue.forget(*tag);
      parts.catalogue.overrides().forget(path);  // no operator has deleted it
    }
    done(gone);
  });
}

std::optional<std::string> Attempt::why_not_free(const std::string& path) const {
  if (parts.listeners.below(path).empty() && !parts.engine.has(path)) return std::nullopt;
  return path + " still exists: it has not ended yet, or an operator added it; reload again when it is gone";
}

bool Attempt::is_supervised(const std::string& path) const {
  const auto supervisor = parts.engine.view(supervision::parent_of(path));
  return supervisor && (supervisor->state == NodeState::running || supervisor->state == NodeState::starting);
}

// A temporary listener has left the tree with its end.
void Attempt::forget_ended(const std::string& path) {
  if (parts.engine.has(path)) return;
  const auto lives = [this](const net::Listener* one) {
    return one->is_open() || parts.children.has_connections(*one);
  };
  if (std::ranges::none_of(parts.listeners.below(path), lives)) parts.listeners.forget(path);
}

void Attempt::add(const std::string& path, const Done& done) {
  give_up_ = [this, path, done] {
    has_given_up_ = true;
    const bool trial = config != nullptr;
    done(trial ? procedure::refused(path + ": what was there has not ended, and another reload begins") : Outcome());
  };
  parts.operations.when_gone(path, while_patient_([this, path, done] {
                               give_up_ = nullptr;
                               add_now(path, done);
                             }));
  if (in_a_hurry_) hurry();
}

void Attempt::hurry() {
  in_a_hurry_ = true;
  if (!give_up_) return;
  while_patient_.cut();
  std::exchange(give_up_, nullptr)();
}

void Attempt::add_now(const std::string& path, const Done& done) {
  if (parts.operations.is_adding(path)) return done({});
  forget_ended(path);
  if (auto why = why_not_free(path)) return done(procedure::refused(std::move(*why)));
  if (!is_supervised(path)) return done({});
  config::Node& node = *new_node(path);
  parts.catalogue.enter(node, config ? config : parts.catalogue.owner());
  if (const auto error = parts.listeners.add(node, path, lend_to(path))) {
    parts.listeners.forget(path);
    return done(procedure::refused(error->text()));
  }
  added_.insert(path);
  if (config) hold_for_trial(path);
  parts.engine.operate(
      Operation::start_child, path,
      [this, path, done](supervision::ReplyError error) {
        if (error == supervision::ReplyError::none) return done({});
        parts.listeners.forget(path);
        done(explained(procedure::negative(error, fmt::format("{} did not start: {}", path, procedure::word_of(error))),
                       path));
      },
      config::tree_of_config(node));
}

bool Attempt::is_taken_back(const std::string& path) const {
  return std::ranges::any_of(plan.changes, [&path](const Change& change) {
    return change.kind == Change::Kind::taken_back && is_at_or_below(path, change.path);
  });
}

// Whether the listener at `path` gives up the address: it is removed, by this reload or by an earlier one, or its new
// entry does not name the address.
bool Attempt::gives_up(const std::string& path, const config::ListenAddress& address) const {
  if (parts.catalogue.is_leaving(path) && !is_taken_back(path)) return true;
  return std::ranges::any_of(plan.changes, [&](const Change& change) {
    const bool goes = change.kind == Change::Kind::removed || change.kind == Change::Kind::replaced;
    if (goes) return is_at_or_below(path, change.path);
    const bool changes = change.kind == Change::Kind::new_workers || change.kind == Change::Kind::taken_back;
    if (!changes || path != change.path || !config) return false;
    const auto& node = *config::find_node(config->root, "root", path);
    if (!node.listener) return false;
    const auto& listen = node.listener->listen;
    return std::ranges::none_of(listen, [&](const auto& one) { return config::same_place(one, address); });
  });
}

net::Listener::Lend Attempt::lend_to(const std::string& borrower) {
  return [this, borrower](const config::ListenAddress& address) -> sys::Result<net::Listener::GivenUp> {
    net::Listener::GivenUp out;
    for (net::Listener* listener : parts.listeners.all()) {
      const std::string& path = listener->path();
      if (is_at_or_below(path, borrower)) continue;
      if (gives_up(path, address)) {
        auto same = listener->lend(address);
        if (!same) return same.error();
        if (!same->empty()) lenders.insert(path);
        std::ranges::move(*same, std::back_inserter(out.same));
      }
      for (const net::ListeningSocket* socket : listener->in_the_way(address)) {
        if (listener->is_ending() || gives_up(path, socket->address)) out.in_the_way.push_back(socket->fd.get());
      }
    }
    return out;
  };
}

}  // namespace bulkhead::reload
