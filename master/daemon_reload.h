// Reload: check, diff, try, apply, or leave everything as it was. Runs in the master, on the loop, one at a time; who
// asks while one is under way gets the next.
//
//   read and check the file ──▶ plan (reload/plan.h)
//     trial   what may fail, with its undoing: added children are started; a listener that needs new workers gets its
//             addresses bound and its first workers of the new generation, which must become ready; a process of
//             another program takes the place of the one that runs
//     commit  what does not: flags and specs in the tree, limits in the tables, the other workers one by one, the end
//             of what was removed, reload_signal to processes that stay
//
// A trial that fails is undone in reverse order, and the old configuration goes on; `status` remembers why. A reload
// that is asked for while the daemon starts begins when it is ready.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "master/config/config.h"
#include "master/control/backend.h"
#include "master/daemon_renewal.h"
#include "master/net/listener.h"
#include "master/reload/plan.h"
#include "master/supervision/tree.h"
#include "worker/loop/loop.h"

namespace bulkhead {

class Daemon;

class DaemonReload {
 public:
  explicit DaemonReload(Daemon& daemon);
  ~DaemonReload();

  // Answers when it is through: {"ok":true,"changes":[…],"needs_restart":[…]}, or a refusal with every reason.
  void begin(protocol::Reply reply);
  // Begins with what has come in while something else was under way.
  void go_on();
  // What has not been applied by now never will be.
  void daemon_stops();
  // Of a file, ours if empty: the problems, or what a reload of it would change. Touches nothing.
  [[nodiscard]] protocol::Answer check(const std::string& file) const;
  [[nodiscard]] protocol::Answer diff(const std::string& file) const;

  [[nodiscard]] const nlohmann::ordered_json& last() const { return *last_; }  // `last_reload` of status
  void resume(const std::string& last);                                        // which another program knew
  [[nodiscard]] bool under_way() const { return !replies_.empty(); }
  [[nodiscard]] bool is_asked_for() const noexcept { return !waiting_.empty(); }

 private:
  using Done = std::function<void(std::string problem)>;  // empty: good
  struct Step {
    std::function<void(Done)> deed;
    std::function<void(Done)> undo;  // a trial's; may be absent
  };

  // A process child as it was.
  struct Before {
    supervision::ChildSpec spec;
    const config::Node* node = nullptr;  // null: there was none
    std::shared_ptr<const void> owner;
    bool ran = false;
  };

  [[nodiscard]] reload::ReloadPlan plan(const std::string& effective, const config::Config& config) const;
  void run();
  void plan_steps();
  void trial(std::function<void(Done)> deed, std::function<void(Done)> undo);
  void then(std::function<void(Done)> deed);
  void next();
  void failed(const std::string& problem);
  void undo_next();
  void finished();
  void reject(std::vector<std::string> problems);
  void answer(const protocol::Answer& answer);
  void remember(bool ok, const std::vector<std::string>& errors);

  [[nodiscard]] bool gives_up(const std::string& path, const config::ListenAddress& address) const;
  [[nodiscard]] net::Listener::Lend lend_to(const std::string& borrower);
  void set_on_trial(const std::string& path, bool on);
  void try_added(const std::string& path);
  void try_new_workers(const std::string& path);
  void try_process(const std::string& path);
  void add(const std::string& path, const Done& done);
  void change_back(const std::string& path, const config::Listener& before);
  void put_back(const std::string& path, const Before& before, const Done& done);
  void restart(const std::string& path, supervision::ChildSpec spec, const Done& done);
  [[nodiscard]] std::string what_is_at(const std::string& path) const;
  [[nodiscard]] bool supervised(const std::string& path) const;

  void take_over();
  void commit(const reload::Change& change);
  void change_in_place(const std::string& path);
  void change_process(const std::string& path);
  void give_limits(const std::string& path);
  void limit(const std::string& path, const Done& done);
  void leave_addresses(const std::string& path);
  void replace_workers(const std::string& path);
  void end_removed(const std::string& path, bool wait);
  void as_written();
  void settle_workers(const std::string& path);
  void tell_processes();

  void operate(supervision::Operation operation, const std::string& path, Done done, supervision::ChildSpec spec = {});
  void end_child(const std::string& path, const Done& done);
  [[nodiscard]] std::optional<supervision::NodeView> view_of(const std::string& path) const;
  [[nodiscard]] net::Listener* open_listener(const std::string& path) const;
  [[nodiscard]] config::Node* new_node(const std::string& path);

  Daemon& daemon_;
  loop::Timer pause_;
  Done on_pause_;
  std::unique_ptr<nlohmann::ordered_json> last_;
  std::vector<protocol::Reply> replies_;  // of the reload under way
  std::vector<protocol::Reply> waiting_;  // of the next
  std::uint64_t attempt_ = 0;             // what comes back to an earlier one is too late
  std::unique_ptr<config::Loaded> loaded_;
  std::shared_ptr<config::Config> config_;  // the new one, until it is the daemon's
  reload::ReloadPlan plan_;
  std::vector<std::string> problems_;              // of steps that could not be undone any more, and of undoing
  std::map<std::string, WorkerRenewal> renewals_;  // by listener
  std::set<std::string> lenders_;                  // listeners whose sockets others share for a while
  std::deque<Step> steps_;
  std::vector<std::function<void(Done)>> undo_;
};

}  // namespace bulkhead
