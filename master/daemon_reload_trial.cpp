// The first half of a reload: what may fail, each with its undoing.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "master/config/find_node.h"
#include "master/config/tree_of_config.h"
#include "master/daemon.h"
#include "master/daemon_reload.h"
#include "master/host/clock.h"
#include "master/supervision/path.h"

namespace bulkhead {

using reload::Change;
using supervision::ChildSpec;
using supervision::NodeState;
using supervision::NodeType;
using supervision::Operation;
using supervision::ReplyError;

// Once taken over it is the daemon's.
config::Node* DaemonReload::new_node(const std::string& path) {
  return config::find_node(config_ ? config_->root : daemon_.config_->root, "root", path);
}

std::optional<supervision::NodeView> DaemonReload::view_of(const std::string& path) const {
  const auto id = daemon_.tree_.find(path);
  return id ? daemon_.tree_.node(*id, now()) : std::nullopt;
}

void DaemonReload::operate(Operation operation, const std::string& path, Done done, ChildSpec spec) {
  daemon_.control_.operate(
      operation, supervision::parent_of(path), supervision::id_of(path),
      [path, done = std::move(done)](ReplyError error) {
        done(error == ReplyError::none ? "" : fmt::format("{}: {}", path, DaemonControl::word_of(error)));
      },
      std::move(spec));
}

// As an operator would: `stop`, which drains a listener, then `delete`.
void DaemonReload::end_child(const std::string& path, const Done& done) {
  const auto view = view_of(path);
  if (!view) return done("");
  const std::uint32_t tag = view->spec->tag;
  const bool worker = view->spec->type == NodeType::worker;
  daemon_.control_.stop({{"path", path}}, [this, path, tag, worker, done](const protocol::Answer& stopped) {
    if (stopped.failure) return done(stopped.failure->message);
    daemon_.control_.remove({{"path", path}}, [this, tag, worker, done](const protocol::Answer& removed) {
      if (removed.failure) return done(removed.failure->message);
      if (!worker) daemon_.forget_entry(tag);
      done("");
    });
  });
}

// Why nothing can be added there, or nothing.
std::string DaemonReload::what_is_at(const std::string& path) const {
  const bool listening = std::any_of(daemon_.listeners_.begin(), daemon_.listeners_.end(), [&path](const auto& entry) {
    return entry.first == path || entry.first.starts_with(path + "/");
  });
  if (!listening && !view_of(path)) return "";
  return path + " is still there: it has not ended yet, or was added by an operator; reload again when it is gone";
}

bool DaemonReload::supervised(const std::string& path) const {
  const auto supervisor = view_of(supervision::parent_of(path));
  return supervisor && (supervisor->state == NodeState::running || supervisor->state == NodeState::starting);
}

// Whether the listener there will do without the address: it goes, or its new entry does not name it.
bool DaemonReload::gives_up(const std::string& path, const config::ListenAddress& address) const {
  return std::ranges::any_of(plan_.changes, [&](const Change& change) {
    const bool goes = change.kind == Change::Kind::removed || change.kind == Change::Kind::replaced;
    if (goes) return path == change.path || path.starts_with(change.path + "/");
    if (change.kind != Change::Kind::new_workers || path != change.path || !config_) return false;
    const config::Node* const node = config::find_node(config_->root, "root", path);
    return std::ranges::find(node->listener->listen, address.text, &config::ListenAddress::text) ==
           node->listener->listen.end();
  });
}

// Sockets stay, with whoever waits in their queues, where an address goes from one listener to another.
net::Listener::Lend DaemonReload::lend_to(const std::string& borrower) {
  return [this, borrower](const config::ListenAddress& address) {
    for (const auto& [path, listener] : daemon_.listeners_) {
      const bool own = path == borrower || path.starts_with(borrower + "/");
      if (own || listener->draining || !gives_up(path, address)) continue;
      auto lent = listener->lend(address);
      if (lent && lent->empty()) continue;
      lenders_.insert(path);
      return lent;
    }
    return sys::Result<std::vector<net::ListeningSocket>>(std::vector<net::ListeningSocket>{});
  };
}

// What is tried serves nobody yet, so that a client never meets a configuration that is refused.
void DaemonReload::set_on_trial(const std::string& path, bool on) {
  for (const auto& [at, listener] : daemon_.listeners_) {
    if ((at != path && !at.starts_with(path + "/")) || listener->on_trial == on) continue;
    listener->on_trial = on;
    if (on || listener->suspended) continue;
    daemon_.workers_.send(*listener, ipc::Resume{});
  }
}

void DaemonReload::add(const std::string& path, const Done& done) {
  if (const std::string there = what_is_at(path); !there.empty()) return done(there);
  if (!supervised(path)) return done("");  // it starts with its supervisor
  config::Node& node = *new_node(path);
  daemon_.register_nodes(node, config_ ? config_ : daemon_.config_);
  if (const auto error = daemon_.add_listeners(node, path, lend_to(path))) {
    daemon_.control_.forget(path);
    return done(error->text());
  }
  set_on_trial(path, config_ != nullptr);
  daemon_.control_.operate(
      Operation::start_child, supervision::parent_of(path), node.spec.id,
      [this, path, done](ReplyError error) {
        if (error == ReplyError::none) return done("");
        daemon_.control_.forget(path);
        done(fmt::format("{} did not start: {}", path, DaemonControl::word_of(error)));
      },
      config::tree_of_config(node));
}

void DaemonReload::try_added(const std::string& path) {
  const auto undo = [this, path](const Done& done) {
    // They have served nobody; and what they share with others is not theirs to empty.
    for (net::Listener* const listener : daemon_.control_.listeners_below(path)) listener->close();
    end_child(path, done);
  };
  trial([this, path](const Done& done) { add(path, done); }, undo);
}

// One that serves, or would if it were not suspended. Null: it was stopped, or is about to be.
net::Listener* DaemonReload::open_listener(const std::string& path) const {
  net::Listener* const listener = daemon_.listener_at(path);
  return listener != nullptr && listener->is_open() && !listener->draining ? listener : nullptr;
}

void DaemonReload::change_back(const std::string& path, const config::Listener& before) {
  daemon_.workers_.set_generation(daemon_.generation_ - 1);
  net::Listener* const listener = daemon_.listener_at(path);
  if (listener != nullptr && listener->is_open()) (void)listener->change(before);
}

// Workers of the new generation beside the old ones.
void DaemonReload::try_new_workers(const std::string& path) {
  const auto before = std::make_shared<config::Listener>();
  const auto restored = [this, path] {
    renewals_.erase(path);
    set_on_trial(path, false);  // not before: they would serve until they are gone
    if (net::Listener* const listener = daemon_.listener_at(path)) listener->close_left_over();
  };
  const auto deed = [this, path, before, restored](const Done& done) {
    net::Listener* const listener = open_listener(path);
    if (listener == nullptr) return done("");
    *before = listener->config();
    if (const auto error = listener->change(*new_node(path)->listener, lend_to(path))) {
      return done(fmt::format("{}: {}", path, error->text()));
    }
    daemon_.workers_.set_generation(daemon_.generation_);
    set_on_trial(path, true);
    const auto is_old = [now = daemon_.generation_](const process::WorkerProcess& worker) {
      return worker.generation < now;
    };
    WorkerRenewal& renewal = renewals_.try_emplace(path, daemon_, path, is_old).first->second;
    renewal.start_extra([this, path, before, restored, done](const std::string& problem) {
      if (problem.empty()) return done("");
      change_back(path, *before);
      daemon_.later([restored, done, problem] {
        restored();
        done(problem);
      });
    });
  };
  const auto undo = [this, path, before, restored](const Done& done) {
    const auto renewal = renewals_.find(path);
    if (renewal == renewals_.end()) return done("");
    change_back(path, *before);
    renewal->second.end_extra([this, restored, done](const std::string&) {
      daemon_.later([restored, done] {
        restored();
        done("");
      });
    });
  };
  trial(deed, undo);
}

// A process cannot be tried beside the one that runs, which may hold a lock or a port: it takes the other's place, and
// where it does not start the other one is started again.
void DaemonReload::try_process(const std::string& path) {
  const auto before = std::make_shared<Before>();
  const auto deed = [this, path, before](const Done& done) {
    const auto view = view_of(path);
    if (!view) return done("");  // its supervisor is stopped, or it is temporary and over
    const Daemon::Entry& entry = daemon_.nodes_.at(view->spec->tag);
    const bool ran = view->state != NodeState::stopped && view->state != NodeState::failed;
    *before = {*view->spec, entry.node, entry.owner, ran};
    const config::Node& node = *new_node(path);
    ChildSpec spec = config::tree_of_config(node);
    spec.tag = view->spec->tag;
    daemon_.nodes_.at(spec.tag) = {&node, config_};
    restart(path, std::move(spec), [this, path, before, done](const std::string& problem) {
      if (problem.empty()) return done("");
      put_back(path, *before, [this, path, done](const std::string& also) {
        if (!also.empty()) problems_.push_back(also);
        done(path + " did not start as the new file says");
      });
    });
  };
  trial(deed, [this, path, before](const Done& done) {
    if (before->node == nullptr) return done("");
    put_back(path, *before, done);
  });
}

void DaemonReload::put_back(const std::string& path, const Before& before, const Done& done) {
  daemon_.nodes_.at(before.spec.tag) = {before.node, before.owner};
  if (before.ran) {
    return restart(path, before.spec, [path, done](const std::string& problem) {
      done(problem.empty() ? "" : path + " did not start again as it was before, and is stopped");
    });
  }
  daemon_.tree_.update(path, before.spec);
  operate(Operation::terminate_child, path, done);
}

// Ends what runs there and starts it as `spec` says.
void DaemonReload::restart(const std::string& path, ChildSpec spec, const Done& done) {
  const auto start = [this, path, spec, done](const std::string& problem) {
    if (!problem.empty()) return done(problem);
    // A temporary child has left the list with its end.
    if (!view_of(path)) return operate(Operation::start_child, path, done, spec);
    daemon_.tree_.update(path, spec);
    operate(Operation::restart_child, path, done);
  };
  if (!view_of(path)) return start("");
  operate(Operation::terminate_child, path, start);
}

}  // namespace bulkhead
