// All children of the master behind one interface: the workers, the process children, the connections adopted from
// workers that are gone, and the standard error of their handlers. Starts, stops and reaps them, and reports their ends
// to the tree as Events. It never decides whether a child is restarted.
//
// One reaper: a child that has ended is examined before it is reaped, because a zombie still pins its pid and its
// group. Each end of a worker or of a process becomes one ChildEnd, which goes to the narrator and then to the tree; of
// a process, to the narrator when its leader has ended, and to the tree when its group has (process/group_end.h).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "master/config/config.h"
#include "master/host/log_target.h"
#include "master/journal/narrator.h"
#include "master/process/adoption.h"
#include "master/process/child_end.h"
#include "master/process/processes.h"
#include "master/process/strays.h"
#include "master/process/workers.h"
#include "master/running/listeners.h"
#include "master/running/workforce.h"
#include "master/supervision/tree.h"
#include "worker/log/output_lines.h"
#include "worker/sys/children.h"

namespace bulkhead::running {

class Children final : public Workforce {
 public:
  using NodeView = supervision::NodeView;
  using RunId = supervision::RunId;
  using Instant = supervision::Instant;

  struct Observer {
    std::function<void(supervision::Event)> apply;                 // news for the tree
    std::function<void(process::WorkerProcess&)> on_worker_ready;  // before the tree hears of it
    std::function<void(net::Listener&)> on_worker_gone;            // reaped and swept, before the tree hears of it
    std::function<bool(pid_t)> is_stranger;                        // a child that another part of the daemon interprets
    std::function<void(pid_t, int wait_status)> on_stranger_reaped;
    std::function<void(net::Listener&)> on_socket_lost;  // a worker reports that one of its listening sockets is dead
    std::function<void(net::Listener&)> on_full;         // or that clients wait for a slot
    std::function<void(net::Listener&)> on_wanted;       // or that it needs more of daemon.max_connections
  };
  struct Settings {
    config::Log log;
    std::uint32_t generation = 1;
    int handler_error_fd = 2;
  };

  // All references must outlive it. It watches the gates of all listeners, and forgets its records of a listener that
  // is removed.
  Children(loop::Loop& loop, process::ChildSystem& system, Listeners& listeners, journal::Narrator& narrator,
           const Settings& settings, Observer observer);

  [[nodiscard]] std::optional<sys::Error> find_programs() { return workers_.find_program(); }

  // A run of `child` begins; `parent` is its supervisor, `node` the entry of a process or of a worker's listener. The
  // answer is an event, at once or later.
  void start(const NodeView& child, const NodeView& parent, RunId run, const config::Node& node);
  // The tree is about to stop this run. False: it has already ended by itself, and its end will be reported as such;
  // then no stop is reported, and stop() and kill() do nothing.
  [[nodiscard]] bool announce_end(RunId run);
  void stop(RunId run);
  void kill(RunId run);
  // The whole tree is about to stop: kills the children that have not become ready, because their supervisors would
  // wait for them.
  void abort_starts();
  void kill_everything();  // and what is left of their groups; not workers that have been let go

  void reap();
  void tick();  // once a second
  void on_deadline();
  [[nodiscard]] std::optional<Instant> next_deadline() const;

  // The daemon ends: removes the runtime directories and credentials of listeners without connections.
  void take_back_all() const;
  // The daemon ends: logs the last output of processes. Blocks for at most a second, while the log has no room.
  void finish_output() { processes_.finish_output(); }

  // Changes the settings of a process that may change while it runs.
  void change(RunId run, const config::Node& node);
  // Sends reload_signal to the ready processes that have one and that `concerns` says yes to.
  void tell_to_reload(const std::function<bool(const std::string& path)>& concerns);
  // To a process itself. False: this run of one has ended, or is none.
  [[nodiscard]] bool signal_process(RunId run, int signal) { return processes_.signal(run, signal); }
  // Applies to workers that are started from now on.
  void set_generation(std::uint32_t generation) { workers_.set_generation(generation); }
  void try_generation(const std::string& path, std::uint32_t generation) { workers_.try_generation(path, generation); }
  void forget_generation(const std::string& path) { workers_.forget_generation(path); }
  void set_incarnation(std::uint64_t incarnation) { workers_.set_incarnation(incarnation); }
  // Opens the files that processes have of their own once more. Returns a sentence for each that cannot be.
  [[nodiscard]] std::vector<std::string> reopen_outputs() { return processes_.reopen_outputs(); }
  // Returns a sentence for each child that continues with the old log.
  [[nodiscard]] std::vector<std::string> use_log(const config::Log& config, const host::LogTarget& target);
  // The daemon's stays as it is; those of children are opened once more.
  [[nodiscard]] std::vector<std::string> use_log();
  // The log of one listener may have changed.
  [[nodiscard]] std::vector<std::string> use_log(net::Listener& listener, const config::OwnLog& own) {
    return workers_.replace_log(listener, own);
  }

  struct RunView {
    pid_t pid = 0;
    std::uint32_t generation = 0;  // a worker's
    std::string status;            // a process's last STATUS=
    bool waits_for_group = false;  // a process that has ended; what it left behind, or its post_stop, has not
  };
  [[nodiscard]] std::optional<RunView> view(RunId run) const;
  // Grows whenever a process has begun or a run of one is over.
  [[nodiscard]] std::uint64_t process_changes() const noexcept { return process_changes_ + processes_.post_stops(); }
  void for_each_process(const std::function<void(const process::ProcessChild&)>& visit) const {
    processes_.for_each(visit);
  }
  [[nodiscard]] std::uint32_t adopted(const net::Listener& listener) const { return adoption_.count(listener); }

  // Workforce
  void send(net::Listener& listener, const ipc::Down& message) override { (void)workers_.send(listener, message); }
  // To those of an earlier generation.
  void send_to_older(const net::Listener& listener, std::uint32_t generation, const ipc::Down& message) {
    workers_.send_to_older(listener, generation, message);
  }
  void give_socket(net::Listener& listener, const net::ListeningSocket& socket) override {
    workers_.give_socket(listener, socket);
  }
  void ask(net::Listener& listener, const ipc::Down& message, process::Answered answered) override {
    workers_.errands().ask(listener, message, std::move(answered));
  }
  [[nodiscard]] bool has_ready_worker(const net::Listener& listener) const override {
    return workers_.has_ready(listener);
  }
  void retire(RunId worker) override { workers_.stop(worker); }
  [[nodiscard]] bool let_go(net::Listener& listener, process::LetGo how) override {
    leaves_ = true;
    return workers_.let_go(listener, how);
  }
  [[nodiscard]] bool all_drained(const net::Listener& listener, bool patient) const override {
    return workers_.all_drained(listener, patient);
  }
  [[nodiscard]] bool any_in_hand(const net::Listener& listener) const override {
    return workers_.any_in_hand(listener);
  }
  void signal_connections(net::Listener& listener, int signal) override;
  void signal_adopted(net::Listener& listener, int signal) override;
  Signalled signal_connection(net::Listener& listener, std::uint32_t slot, std::uint32_t use, int signal) override;
  bool end_connection(net::Listener& listener, std::uint32_t slot, std::uint32_t use, ipc::EndCause cause) override;
  void kill_unresponsive(net::Listener& listener, std::chrono::nanoseconds patience) override {
    workers_.kill_unresponsive(listener, patience);
  }
  [[nodiscard]] bool has_connections(const net::Listener& listener) const override;
  void for_each_worker(const std::function<void(const process::WorkerProcess&)>& visit) const override {
    workers_.for_each(visit);
  }

  // The state that the next program takes over in an upgrade. To be called once is_settled().
  [[nodiscard]] bool is_settled() const noexcept { return gone_.empty() && !workers_.errands().any_under_way(); }
  [[nodiscard]] process::ChildrenHandover hand_over() const;
  [[nodiscard]] bool was_asked(RunId run) const { return asked_.contains(run); }
  [[nodiscard]] const process::WorkerPrograms& programs() const noexcept { return workers_.programs(); }
  void set_programs(process::WorkerPrograms programs) noexcept { workers_.set_programs(std::move(programs)); }
  using FindNode = std::function<const config::Node*(const std::string& path)>;
  void resume(const process::ChildrenHandover& from, const std::vector<RunId>& asked, const FindNode& find);

 private:
  [[nodiscard]] std::optional<sys::Error> start_worker(const NodeView& child, const NodeView& parent, RunId run,
                                                       const config::Node& node);
  [[nodiscard]] std::optional<sys::Error> start_process(const NodeView& child, RunId run, const config::Node& node);
  [[nodiscard]] bool is_superfluous(const net::Listener* listener) const;
  void on_worker_end(pid_t pid);
  // A worker that has been reaped. The master looks through its slots before it reports the end.
  struct Gone {
    process::Adoption::Sweep sweep;
    process::ChildEnd end;
    process::WorkerProcess::State state = process::WorkerProcess::State::starting;
    std::uint32_t index = 0;
    bool shortage = false;
    bool swept = false;
    bool searched = true;  // what it has left behind has ended
  };
  void finish_gone();
  void do_slice();
  [[nodiscard]] bool sweep_gone();
  void search_strays_of(const process::WorkerProcess& worker);
  // A worker, a process of the tree, a connection, or a process that the daemon itself has started.
  [[nodiscard]] bool is_somebodys(pid_t pid) const;
  [[nodiscard]] bool end_strays();
  [[nodiscard]] bool is_being_swept(const net::Listener& listener) const;
  void worker_gone(Gone gone);
  void on_table_failed(const process::WorkerProcess& worker);
  [[nodiscard]] bool renew_tables();
  [[nodiscard]] bool renew_table(net::Listener& listener);
  void collect();
  [[nodiscard]] bool ended_by_letting_go(RunId run);
  void on_process_end(pid_t pid);
  [[nodiscard]] bool reap_one(pid_t pid);
  void reap_behind();
  void finish_processes();
  void tell(const process::ChildEnd& end);
  void ended(const process::ChildEnd& end);
  void on_news(const process::WorkerProcess& worker, const process::WorkerNews& news);
  void watch(net::Listener& listener);
  void forget(net::Listener& listener);

  process::ChildSystem& system_;
  Listeners& listeners_;
  journal::Narrator& narrator_;
  Observer observer_;
  process::HandlerErrors errors_;
  process::Workers workers_;
  process::Processes processes_;
  process::Adoption adoption_;
  sys::ChildWalk behind_;    // zombies that stay
  bool walk_again_ = false;  // somebody may have ended since it began
  std::optional<Instant> next_walk_;
  std::uint64_t process_changes_ = 0;
  [[nodiscard]] bool may_publish(const net::Listener& listener) { return news_[&listener].take_line(); }
  void renew_news(std::int64_t now_ns);
  void take_back(const net::Listener& listener) const;
  void recycle(const process::WorkerProcess& worker, ipc::WornReason reason);
  void publish(const process::WorkerProcess& worker, const process::WorkerNews& news);

  std::map<const net::Listener*, log::OutputBudget> news_;  // events about a listener's connections and workers
  std::list<Gone> gone_;
  std::optional<process::StraySearch> strays_;  // while one of these has not been searched
  loop::Timer next_slice_;
  bool more_ended_ = false;                       // reap() has not come to all of them
  std::map<net::Listener*, int> table_failures_;  // of workers in a row
  std::set<net::Listener*> renewed_;              // whose workers end before their table is recreated
  std::set<RunId> asked_;                         // to end
  bool everything_ends_ = false;                  // the tree is stopping
  bool leaves_ = false;                           // workers are being let go
};

}  // namespace bulkhead::running
