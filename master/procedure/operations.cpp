#include "master/procedure/operations.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "master/config/check.h"
#include "master/config/host.h"
#include "master/config/tree_of_config.h"
#include "master/procedure/countdown.h"
#include "master/procedure/workers_of.h"
#include "master/supervision/path.h"

namespace bulkhead::procedure {

using supervision::Operation;
using supervision::ReplyError;
using supervision::touch;

namespace {

// The other requests end what is ending anyway.
bool waits_for_an_end(Verb verb) {
  return verb != Verb::stop && verb != Verb::discard;
}

constexpr const char* kRootIsNotRestarted = "root cannot be restarted; it is stopped with shutdown";

Outcome is_draining(const std::string& path) {
  return refused(path + " is draining; start it when it has ended");
}

// As it was added; nothing: it can no longer be read.
std::optional<config::Node> node_of(const running::AddedChild& child) {
  config::Loaded loaded = config::parse(child.text, child.file, child.directory, config::patient_host());
  if (!loaded.config || loaded.config->root.children.size() != 1) return std::nullopt;
  return std::move(loaded.config->root.children.front());
}

}  // namespace

void Operations::operate(Operation operation, Place request, running::Engine::Answered answered,
                         supervision::ChildSpec spec) {
  engine_.operate(operation, request->path, std::move(answered), std::move(spec), running::Engine::Asker::everywhere);
}

void Operations::request(Request request, Done done) {
  if (const Place same = taking_on_ ? find_again(request) : requests_.end(); same != requests_.end()) {
    same->taken_on = false;
    return same->askers.push_back(std::move(done));
  }
  request.askers.push_back(std::move(done));
  requests_.push_back(std::move(request));
  if (!taking_on_) begin_next();
}

Operations::Place Operations::find_again(const Request& request) {
  return std::ranges::find_if(requests_, [&request](const Request& one) {
    return one.taken_on && one.verb == request.verb && one.path == request.path;
  });
}

// Each may be over at once, and its answer may ask for more.
void Operations::begin_next() {
  for (Place next = requests_.begin(); next != requests_.end();) {
    if (next->begun || !may_begin(next)) {
      ++next;
      continue;
    }
    begin(next);
    next = requests_.begin();
  }
}

bool Operations::may_begin(Requests::const_iterator request) const {
  for (auto earlier = requests_.begin(); earlier != request; ++earlier) {
    if (!touch(earlier->path, request->path)) continue;
    if (!earlier->begun) return false;
    if (earlier->verb == Verb::add && request->verb == Verb::add) return false;           // it may be there in a moment
    if (request->verb == Verb::remove && !endings_.touches(request->path)) return false;  // it may run in a moment
    // A restart would end the start of the first of them, and the others would stay down.
    const bool restarts = request->verb == Verb::restart || request->verb == Verb::restart_group;
    if (earlier->verb == Verb::restart_group && restarts) return false;
    if (earlier->last) continue;
    if (earlier->verb == Verb::restart) return false;
    // The tree answers what is asked of a listener that drains, which may take long.
    const bool answered = request->verb != Verb::add && endings_.touches(request->path);
    if (waits_for_an_end(request->verb) && !answered) return false;
  }
  return true;
}

void Operations::begin(Place request) {
  request->begun = true;
  switch (request->verb) {
    case Verb::stop: return begin_stop(request);
    case Verb::start: return begin_start(request);
    case Verb::restart: return begin_restart(request);
    case Verb::restart_group: return begin_restart_group(request);
    case Verb::remove: return begin_remove(request);
    case Verb::discard: return begin_discard(request);
    case Verb::add: return begin_add(request);
  }
}

void Operations::over(Place request, const Outcome& outcome) {
  const std::string path = request->path;
  const bool gone = request->verb == Verb::discard;
  const std::vector<Done> askers = std::move(request->askers);
  requests_.erase(request);
  for (const Done& done : askers) done(outcome);
  begin_next();
  if (gone) tell_gone(path);
}

// After those who have waited for the same, so that they do not end what this starts.
void Operations::tell_gone(const std::string& path) {
  std::vector<std::function<void()>> actions;
  std::erase_if(for_gone_, [&](auto& one) {
    if (one.first == path) actions.push_back(std::move(one.second));
    return one.first == path;
  });
  for (const auto& action : actions) action();
}

// A child whose supervisor starts is about to be.
bool Operations::is_up(const std::string& path) const {
  const auto view = engine_.view(path);
  if (!view || !supervision::has_ended(view->state)) return view.has_value();
  const auto supervisor = engine_.view(supervision::parent_of(path));
  return supervisor && supervisor->state == supervision::NodeState::starting;
}

bool Operations::is_about_to_start(const std::string& path) const {
  return std::ranges::any_of(requests_, [&path](const Request& one) {
    const bool starts = one.verb == Verb::start || one.verb == Verb::restart || one.verb == Verb::restart_group;
    return starts && one.begun && supervision::is_at_or_below(path, one.path);
  });
}

// The wish is remembered from now on, because another program may have to complete it; and once more in the end,
// because a restart may have come first.
void Operations::end(const std::string& path, supervision::Duration lame_duck, const Endings::Answered& answered) {
  const bool ends = is_up(path) || is_about_to_start(path) || catalogue_.overrides().is_interrupted(path);
  if (!ends) return endings_.end(path, lame_duck, answered);
  catalogue_.overrides().stop(path);
  endings_.end(path, lame_duck, [this, path, answered](ReplyError error) {
    const auto view = engine_.view(path);
    if (error == ReplyError::none && (!view || supervision::has_ended(view->state))) {
      catalogue_.overrides().stop(path);
    } else {
      catalogue_.overrides().unstop(path);
    }
    answered(error);
  });
}

void Operations::stop(const std::string& path, Done done) {
  if (supervision::parent_of(path).empty()) return done(refused("root is stopped with shutdown"));
  request({.verb = Verb::stop, .path = path}, std::move(done));
}

void Operations::begin_stop(Place request) {
  request->last = true;
  end(request->path, {}, [this, request](ReplyError error) { over(request, error); });
}

// One that an operator's command leaves stopped is one that operators have stopped.
void Operations::start(const std::string& path, Done done) {
  request({.verb = Verb::start, .path = path}, std::move(done));
}

void Operations::begin_start(Place request) {
  const bool again = std::exchange(request->last, true);
  operate(Operation::restart_child, request, [this, request, again](ReplyError error) {
    if (again && error == ReplyError::running) error = ReplyError::none;  // the other program had started it
    if (request->verb == Verb::add && !engine_.has(request->path)) {
      forget(request->path);
      error = ReplyError::start_failed;
    }
    if (error != ReplyError::none) endings_.close_stopped(request->path);
    const auto view = engine_.view(request->path);
    const bool failed = error == ReplyError::start_failed && view && view->state == supervision::NodeState::stopped;
    const bool goes_on = kept_.contains(request->path);  // a reload has ended the start, and starts it again itself
    if (failed && !goes_on) catalogue_.overrides().stop(request->path);
    over(request, error);
  });
}

void Operations::restart(const std::string& path, Done done) {
  if (supervision::parent_of(path).empty()) return done(refused(kRootIsNotRestarted));
  request({.verb = Verb::restart, .path = path}, std::move(done));
}

void Operations::begin_restart(Place request) {
  if (request->last) return begin_start(request);
  if (endings_.ends(request->path)) return over(request, is_draining(request->path));
  operate(Operation::withdraw_child, request, [this, request](ReplyError error) {
    if (error != ReplyError::none) return over(request, error);
    begin_start(request);
    begin_next();
  });
}

void Operations::restart_with_dependents(const std::string& path, Done done) {
  if (supervision::parent_of(path).empty()) return done(refused(kRootIsNotRestarted));
  request({.verb = Verb::restart_group, .path = path}, std::move(done));
}

// One that the tree has begun is completed by it, even if another program has taken over: then its child can be started
// only when that is over.
void Operations::begin_restart_group(Place request) {
  if (request->last && engine_.restarts_group_of(request->path)) return begin_start(request);
  for (const std::string& path : dependents_of(request->path)) {
    if (endings_.ends(path)) return over(request, is_draining(path));
  }
  if (endings_.ends(request->path)) return over(request, is_draining(request->path));
  request->last = true;
  operate(Operation::restart_group, request, [this, request](ReplyError error) { over(request, error); });
}

std::vector<std::string> Operations::dependents_of(const std::string& path) const {
  using supervision::Strategy;
  std::vector<std::string> out;
  const auto supervisor = engine_.view(supervision::parent_of(path));
  if (!supervisor || supervisor->spec->flags.strategy == Strategy::one_for_one) return out;
  bool tied = supervisor->spec->flags.strategy == Strategy::one_for_all;
  for (const supervision::NodeId child : supervisor->children) {
    const std::string one = engine_.view(child)->path;
    if (tied && one != path && is_up(one)) out.push_back(one);
    tied = tied || one == path;
  }
  return out;
}

void Operations::remove(const std::string& path, Done done) {
  request({.verb = Verb::remove, .path = path}, std::move(done));
}

void Operations::begin_remove(Place request) {
  const std::string& path = request->path;
  const bool again = std::exchange(request->last, false);
  if (kept_.contains(path)) return over(request, ReplyError::running);
  if (!again && endings_.touches(path)) return over(request, ReplyError::running);
  const auto view = engine_.view(path);
  const bool ended = view && supervision::has_ended(view->state);
  if (!again && (!ended || endings_.to_end(path).empty())) return erase(request);
  // Its supervisor gave up, and its connections continue.
  endings_.end(path, {}, [this, request](ReplyError error) {
    if (error != ReplyError::none) return over(request, error);
    erase(request);
  });
}

void Operations::erase(Place request) {
  const std::string path = request->path;
  const auto view = engine_.view(path);
  const bool worker = view && view->spec->type == supervision::NodeType::worker;
  operate(Operation::delete_child, request, [this, request, path, worker](ReplyError error) {
    if (error == ReplyError::none) {
      forget(path);
      catalogue_.overrides().erase(path);
    }
    if (error == ReplyError::none && worker) one_fewer(supervision::parent_of(path));
    over(request, error);
  });
}

void Operations::one_fewer(const std::string& listener) {
  const auto view = engine_.view(listener);
  const auto left = view ? static_cast<std::uint32_t>(view->children.size()) : 0;
  if (left > 0) remember_workers(engine_, catalogue_, listener, left);
}

void Operations::forget(const std::string& path) {
  listeners_.forget(path);
  catalogue_.remove_added(path);
}

// What two reloads remove, one after the other, is ended once: so it can also be taken back at once.
void Operations::discard(const std::string& path, Done done) {
  const auto found = discard_of(path);
  const bool is_latest =
      found != requests_.end() &&
      std::none_of(std::next(found), requests_.cend(), [&path](const Request& one) { return one.path == path; });
  if (is_latest) return requests_.erase(found, found)->askers.push_back(std::move(done));
  request({.verb = Verb::discard, .path = path}, std::move(done));
}

void Operations::begin_discard(Place request) {
  endings_.end(
      request->path, {}, [this, request](ReplyError) { discard_stopped(request); }, Endings::For::good);
}

// Its siblings' restart may have started it again.
void Operations::discard_stopped(Place request) {
  operate(Operation::delete_child, request, [this, request](ReplyError error) {
    if (error == ReplyError::running || error == ReplyError::restarting) return begin_discard(request);
    const auto view = engine_.view(request->path);
    if (view) return over(request, error);
    const std::string path = request->path;
    forget(path);
    catalogue_.has_left(path);
    over(request, ReplyError::none);
  });
}

Operations::Requests::const_iterator Operations::discard_of(const std::string& path) const {
  return std::ranges::find_if(requests_,
                              [&path](const Request& one) { return one.verb == Verb::discard && one.path == path; });
}

void Operations::when_gone(const std::string& path, std::function<void()> action) {
  if (discard_of(path) == requests_.end()) return action();
  for_gone_.emplace_back(path, std::move(action));
}

bool Operations::can_take_back(const std::string& path) const {
  const auto request = discard_of(path);
  return request != requests_.end() && (!request->begun || endings_.can_take_back(path));
}

void Operations::take_back(const std::string& path) {
  const auto found = discard_of(path);
  if (found == requests_.end()) return;
  const Place request = requests_.erase(found, found);  // the same place, to be changed
  if (request->begun) endings_.take_back(path);
  over(request, ReplyError::none);
}

void Operations::add(config::Node node, running::AddedChild origin, const Done& done) {
  const std::string path = supervision::child_of(origin.supervisor, node.spec.id);
  request({.verb = Verb::add, .path = path, .node = std::move(node), .child = std::move(origin)}, done);
}

bool Operations::is_adding(const std::string& path) const {
  return std::ranges::any_of(
      requests_, [&path](const Request& one) { return one.verb == Verb::add && one.begun && one.path == path; });
}

void Operations::begin_add(Place request) {
  if (request->last) return begin_start(request);  // in the other program
  request->last = true;
  if (!request->node) return over(request, refused(request->path + ": its configuration can no longer be read"));
  request->anew = !engine_.has(request->path);
  if (!request->anew) return begin_to_start(request, config::tree_of_config(*request->node));
  catalogue_.remove_added(request->path);  // one that has ended with its supervisor
  if (const std::string problem = users_.assign(*request->node, request->path); !problem.empty()) {
    return over(request, negative(ReplyError::start_failed, problem));
  }
  const config::Node& entry = catalogue_.add(std::move(*request->node), request->child);
  if (const auto error = listeners_.add(entry, request->path)) {
    forget(request->path);
    return over(request, negative(ReplyError::start_failed, error->text()));
  }
  begin_to_start(request, config::tree_of_config(entry));
}

void Operations::begin_to_start(Place request, supervision::ChildSpec spec) {
  operate(
      Operation::start_child, request,
      [this, request](ReplyError error) {
        if (error != ReplyError::none && request->anew) forget(request->path);
        over(request, error);
      },
      std::move(spec));
}

std::vector<OperationHandover> Operations::hand_over() const {
  std::vector<OperationHandover> out;
  for (const Request& one : requests_) out.push_back({one.verb, one.path, one.begun, one.last, one.child});
  return out;
}

void Operations::resume(const std::vector<OperationHandover>& from) {
  taking_on_ = true;
  for (const OperationHandover& one : from) {
    Request& request = requests_.emplace_back(
        Request{.verb = one.verb, .path = one.path, .begun = one.begun, .last = one.last, .child = one.child});
    request.taken_on = true;
    if (one.verb == Verb::add && !one.begun) request.node = node_of(one.child);
  }
}

// Those that the other program had begun are begun again: what has been done of them is found done.
void Operations::go_on() {
  if (!std::exchange(taking_on_, false)) return;
  std::vector<Place> begun;
  for (Place one = requests_.begin(); one != requests_.end(); ++one) {
    if (one->begun) begun.push_back(one);
  }
  for (const Place one : begun) {
    if (one->verb == Verb::remove) one->last = true;
    begin(one);
  }
  begin_next();
}

void Operations::drain(const std::optional<std::string>& listener, Done done) {
  const Outcome named = listener ? listener_named(engine_, listeners_, *listener) : Outcome{};
  if (!named) return done(named);
  std::vector<std::string> paths;
  for (const net::Listener* one : listeners_.all()) {
    if (!listener || one->path() == *listener) paths.push_back(one->path());
  }
  if (paths.empty()) return done({});
  const auto worst = std::make_shared<Outcome>();
  const auto one_ended = countdown(paths.size(), [worst, done = std::move(done)] { done(*worst); });
  const auto ended = [worst, one_ended](const std::string& path, ReplyError error) {
    if (error == ReplyError::restarting) *worst = refused(path + ": drain called off");
    one_ended();
  };
  for (const std::string& path : paths) {
    end(path, catalogue_.config().lame_duck, [path, ended](ReplyError error) { ended(path, error); });
  }
}

void Operations::set_suspended(const std::string& path, bool on, const Done& done) {
  if (const Outcome named = listener_named(engine_, listeners_, path); !named) return done(named);
  if (!on && endings_.call_off(path)) return done({});
  if (endings_.touches(path)) return done(is_draining(path));
  net::Gate& gate = listeners_.at(path)->gate();
  if (gate.is_held_by(net::Gate::Holder::operators) != on) {
    narrator_.set_suspended(path, on);
    if (on) {
      gate.hold(net::Gate::Holder::operators);
    } else {
      gate.release(net::Gate::Holder::operators);
    }
  }
  done({});
}

}  // namespace bulkhead::procedure
