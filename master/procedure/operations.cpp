#include "master/procedure/operations.h"

#include <memory>
#include <utility>
#include <vector>

#include "master/config/tree_of_config.h"
#include "master/procedure/workers_of.h"
#include "master/supervision/path.h"

namespace bulkhead::procedure {

using supervision::NodeState;
using supervision::Operation;
using supervision::ReplyError;

void Operations::operate(Operation operation, const std::string& path, Done done, supervision::ChildSpec spec) {
  engine_.operate(
      operation, path, [path, done = std::move(done)](ReplyError error) { done(outcome_of(error, path)); },
      std::move(spec));
}

bool Operations::is_up(const std::string& path) const {
  const auto view = engine_.view(path);
  return view && view->state != NodeState::stopped && view->state != NodeState::failed;
}

// The wish is remembered from now on, because another program may have to complete it; and once more in the end,
// because a restart may have come first.
void Operations::end(const std::string& path, supervision::Duration lame_duck, const Endings::Answered& answered) {
  if (!is_up(path) && !catalogue_.overrides().is_interrupted(path)) return endings_.end(path, lame_duck, answered);
  catalogue_.overrides().stop(path);
  endings_.end(path, lame_duck, [this, path, answered](ReplyError error) {
    if (error == ReplyError::none && !is_up(path)) {
      catalogue_.overrides().stop(path);
    } else {
      catalogue_.overrides().unstop(path);
    }
    answered(error);
  });
}

void Operations::stop(const std::string& path, Done done) {
  if (supervision::parent_of(path).empty()) return done(refused("root is stopped with shutdown"));
  end(path, {}, [path, done = std::move(done)](ReplyError error) { done(outcome_of(error, path)); });
}

// One that an operator's command leaves stopped is one that operators have stopped.
void Operations::start(const std::string& path, Done done) {
  operate(Operation::restart_child, path, [this, path, done = std::move(done)](const Outcome& started) {
    if (started) return done(started);
    endings_.close_stopped(path);
    const auto view = engine_.view(path);
    const bool failed = started.word == ReplyError::start_failed;
    if (failed && view && view->state == NodeState::stopped) catalogue_.overrides().stop(path);
    done(started);
  });
}

void Operations::restart(const std::string& path, Done done) {
  if (supervision::parent_of(path).empty())
    return done(refused("root cannot be restarted; it is stopped with shutdown"));
  operate(Operation::terminate_child, path, [this, path, done = std::move(done)](const Outcome& stopped) {
    if (!stopped) return done(stopped);
    start(path, done);
  });
}

void Operations::remove(const std::string& path, Done done) {
  if (endings_.touches(path)) return done(outcome_of(ReplyError::running, path));
  const auto view = engine_.view(path);
  const bool ended = view && (view->state == NodeState::stopped || view->state == NodeState::failed);
  if (!ended || endings_.to_end(path).empty()) return erase(path, done);
  // Its supervisor gave up, and its connections continue.
  endings_.end(path, {}, [this, path, done = std::move(done)](ReplyError error) {
    if (error != ReplyError::none) return done(outcome_of(error, path));
    erase(path, done);
  });
}

void Operations::erase(const std::string& path, const Done& done) {
  const auto view = engine_.view(path);
  const bool worker = view && view->spec->type == supervision::NodeType::worker;
  operate(Operation::delete_child, path, [this, path, worker, done](const Outcome& erased) {
    if (erased) {
      forget(path);
      catalogue_.overrides().erase(path);
    }
    if (erased && worker) one_fewer(supervision::parent_of(path));
    done(erased);
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

void Operations::add(config::Node node, running::AddedChild origin, const Done& done) {
  const std::string path = supervision::child_of(origin.supervisor, node.spec.id);
  const bool is_new = !engine_.has(path);
  supervision::ChildSpec spec = config::tree_of_config(node);
  if (is_new) {
    const config::Node& entry = catalogue_.add(std::move(node), std::move(origin));
    spec = config::tree_of_config(entry);
    if (const auto error = listeners_.add(entry, path)) {
      forget(path);
      return done(negative(ReplyError::start_failed, error->text()));
    }
  }
  operate(
      Operation::start_child, path,
      [this, path, is_new, done](const Outcome& started) {
        if (!started && is_new) forget(path);
        done(started);
      },
      std::move(spec));
}

void Operations::drain(const std::optional<std::string>& listener, Done done) {
  if (listener && listeners_.at(*listener) == nullptr) return done(no_such(engine_, "listener", *listener));
  std::vector<std::string> paths;
  for (const net::Listener* one : listeners_.all()) {
    if (!listener || one->path() == *listener) paths.push_back(one->path());
  }
  if (paths.empty()) return done({});
  const auto left = std::make_shared<std::size_t>(paths.size());
  const auto worst = std::make_shared<Outcome>();
  const auto ended = [left, worst, done = std::move(done)](const std::string& path, ReplyError error) {
    if (error == ReplyError::restarting) *worst = refused(path + ": drain called off");
    if (--*left == 0) done(*worst);
  };
  for (const std::string& path : paths) {
    end(path, catalogue_.config().lame_duck, [path, ended](ReplyError error) { ended(path, error); });
  }
}

void Operations::set_suspended(const std::string& path, bool on, const Done& done) {
  net::Listener* const listener = listeners_.at(path);
  if (listener == nullptr) return done(no_such(engine_, "listener", path));
  if (!on && endings_.call_off(path)) return done({});
  if (endings_.touches(path)) return done(refused(path + " is draining; start it when it has ended"));
  net::Gate& gate = listener->gate();
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
