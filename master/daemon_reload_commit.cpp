// The second half of a reload: the new file is the daemon's, and what differs is applied.
#include <algorithm>
#include <utility>

#include "master/config/tree_of_config.h"
#include "master/daemon.h"
#include "master/daemon_reload.h"
#include "master/host/clock.h"
#include "master/supervision/path.h"
#include "worker/log/log.h"

namespace bulkhead {

namespace {

using reload::Change;
using supervision::NodeType;
using supervision::Operation;

constexpr std::chrono::milliseconds kHandshakes(100);

}  // namespace

void DaemonReload::take_over() {
  set_on_trial("root", false);
  daemon_.take_configuration(std::move(config_), std::move(loaded_->effective));
}

void DaemonReload::commit(const Change& change) {
  const std::string path = change.path;
  switch (change.kind) {
    case Change::Kind::added:
    case Change::Kind::restarted:
    case Change::Kind::reordered: return;  // done
    case Change::Kind::in_place: return change_in_place(path);
    case Change::Kind::new_workers:
      leave_addresses(path);
      replace_workers(path);
      return give_limits(path);
    case Change::Kind::removed: return end_removed(path, false);
    case Change::Kind::replaced:
      end_removed(path, true);
      return then([this, path](const Done& done) { add(path, done); });
  }
}

void DaemonReload::change_in_place(const std::string& path) {
  if (path != "log") {
    change_process(path);
    return give_limits(path);
  }
  then([this](const Done& done) {
    daemon_.reopen_log();
    done("");
  });
}

void DaemonReload::give_limits(const std::string& path) {
  then([this, path](const Done& done) { limit(path, done); });
}

void DaemonReload::limit(const std::string& path, const Done& done) {
  net::Listener* listener = daemon_.listener_at(path);
  if (listener == nullptr || !listener->is_open()) return done("");
  if (!listener->limit(*daemon_.node_at(path)->listener)) {
    return daemon_.later([this, path, done] { limit(path, done); });
  }
  daemon_.workers_.send(*listener, ipc::Kick{});
  done("");
}

// The workers that there are empty the queues of addresses that go, before they go themselves.
void DaemonReload::leave_addresses(const std::string& path) {
  then([this, path](const Done& done) {
    net::Listener* listener = daemon_.listener_at(path);
    if (listener == nullptr || !listener->refuse_left_over()) return done("");
    on_pause_ = done;
    pause_.start(kHandshakes);
  });
}

// Those of the trial stay until the workers are settled, and so serve meanwhile.
void DaemonReload::replace_workers(const std::string& path) {
  then([this, path](const Done& done) {
    const auto renewal = renewals_.find(path);
    if (renewal == renewals_.end() || open_listener(path) == nullptr) return done("");
    renewal->second.replace(done);
  });
}

void DaemonReload::change_process(const std::string& path) {
  then([this, path](const Done& done) {
    const config::Node* node = daemon_.node_at(path);
    if (node != nullptr && node->process) {
      const auto view = view_of(path);
      daemon_.processes_.change(view->run, *node->process, node->spec.shutdown);
      daemon_.narrator_.stop_signal_is(view->run, node->process->stop_signal);
    }
    done("");
  });
}

// A listener that drains must not hold up the rest, unless what comes next needs its name.
void DaemonReload::end_removed(const std::string& path, bool wait) {
  then([this, path, wait](const Done& done) {
    if (wait) return end_child(path, done);
    end_child(path, [](const std::string& problem) {
      if (!problem.empty()) log::Line(log::Level::error, "root").text("reload: ").text(problem).write();
    });
    done("");
  });
}

// What `scale` and `suspend` have changed lasts until here; and with new children in it, the list has its order.
void DaemonReload::as_written() {
  daemon_.tree_.update(config::tree_of_config(daemon_.config_->root));
  for (const auto& [path, listener] : daemon_.listeners_) {
    const config::Node* node = new_node(path);
    if (node == nullptr || !node->listener || open_listener(path) == nullptr) continue;
    if (listener->suspended) daemon_.control_.resume({{"path", path}}, [](const protocol::Answer&) {});
    settle_workers(path);
  }
  tell_processes();
}

void DaemonReload::settle_workers(const std::string& path) {
  then([this, path](const Done& done) {
    const config::Node* node = daemon_.node_at(path);
    net::Listener* const listener = open_listener(path);
    if (listener == nullptr) return done("");
    listener->close_left_over();
    daemon_.control_.scale_step(path, node->listener->workers, [done](const protocol::Answer& answer) {
      done(answer.failure ? answer.failure->message : "");
    });
  });
}

// Those that this reload has started have read their files already.
void DaemonReload::tell_processes() {
  daemon_.processes_.tell_to_reload([this](const std::string& path) {
    return std::ranges::none_of(plan_.changes, [&path](const Change& change) {
      const bool starts = change.kind == Change::Kind::added || change.kind == Change::Kind::restarted ||
                          change.kind == Change::Kind::replaced;
      return starts && (path == change.path || path.starts_with(change.path + "/"));
    });
  });
}

}  // namespace bulkhead
