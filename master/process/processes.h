// The master's process children: any long-lived program, supervised as by supervisord or runit. Starts them, notices
// when they are ready, reads their output and messages, ends them together with their group. Restarting is not decided
// here. Slot first, fork second: a child's record, pipes, notification socket and deadline exist before its process
// does. A run is over when its group is (group_end.h); until then its leader stays a zombie, so that no other group can
// get the number.
//
// A child gets a session of its own, default signals, an empty mask, the descriptors and the environment of
// process_launch.h and nothing else, and its stop_signal when the master dies (prctl(2), PR_SET_PDEATHSIG; a
// set-user-ID program loses that). Between fork and exec only spawn.cpp runs; where it fails, stage and errno come back
// through a close-on-exec pipe and become words.
//
// Its pre_start runs first, as a child of the new process and in its group (spawn.h). Its post_stop runs once its group
// has ended, in a group of its own and under the same run, which is over after it (post_stop.cpp). Each has
// start_timeout.
//
// Ready, by its `ready`:
//   fork       as soon as it is forked: on_ready is called from within start(), as its last step; with a pre_start, as
//              by `exec`
//   exec       when the program has been executed: the pipe closes without a word
//   notify_fd  a newline on descriptor 3
//   (oneshot)  when it has exited normally
//   sd_notify  READY=1; then STATUS, STOPPING, WATCHDOG and EXTEND_TIMEOUT_USEC (for the start) are understood too
// A child that is not ready by its deadline is killed. So is one whose watchdog expires; before that its messages are
// read, and if the master itself is late (suspended, stopped, starved) the child gets another interval, because it may
// have been late for the same reason.
//
// Threads: none; everything runs on the loop. No function blocks. Times are on the steady clock.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "master/config/config.h"
#include "master/process/child_end.h"
#include "master/process/child_output.h"
#include "master/process/child_system.h"
#include "master/process/group_end.h"
#include "master/process/kill_watch.h"
#include "master/process/output_remains.h"
#include "master/process/proc_walk.h"
#include "master/process/run_table.h"
#include "master/process/watched_fd.h"
#include "master/supervision/child_spec.h"
#include "master/supervision/event.h"
#include "worker/log/log.h"
#include "worker/loop/loop.h"
#include "worker/sys/result.h"

namespace bulkhead::process {

using supervision::Instant;
using supervision::NodeId;
using supervision::RunId;

struct Notification;
struct Launch;

struct ProcessChild {
  using State = RunState;
  NodeId node = 0;
  RunId run = 0;
  std::string path;        // "root/db"
  config::Process config;  // a copy: the configuration may change under a running child
  supervision::Shutdown shutdown;
  config::Timeout start_timeout;
  pid_t pid = -1;
  State state = State::starting;
  bool stopping = false;  // it said STOPPING=1
  bool watchdog_expired = false;
  bool closed_notify_fd = false;  // without a newline
  std::string failure;            // the known reason of its failure, as a predicate: "was not ready within …"
  bool shortage = false;          // it failed for want of processes or memory
  bool timed_out = false;         // and was killed for that
  std::optional<ChildEnd> ended;  // its process: what runs is its post_stop
  std::string status;             // its last STATUS=
  std::optional<Instant> start_deadline;
  std::optional<Instant> watchdog_deadline;
  WatchedFd report;  // reports a failure of its start, until exec
  WatchedFd notify;  // pipe or socket
  log::RateLimit strangers;
  std::shared_ptr<NodeLog> log;  // null: the daemon's
  std::unique_ptr<ChildOutput> output;
  Instant began{};  // 0 after an upgrade
  GroupEnd group;
  KillWatch watch;
  GroupScan scan;
  bool others_live = false;  // processes of its group that are no children of ours, when we last looked
  Instant next_scan{};
  std::optional<Instant> ended_at;  // its leader; until the log has told that we wait for the others
};

class Processes {
 public:
  // Called from the loop, from start() or from reap(). May call start(), stop() and kill(), but not reap().
  struct Observer {
    std::function<void(ProcessChild&)> on_ready;
    std::function<void(ProcessChild&)> on_watchdog_expired;  // before it is killed
    std::function<void(ProcessChild&)> on_status;            // status or stopping has changed; may be empty
  };

  // `system` must outlive it.
  Processes(loop::Loop& loop, ChildSystem& system, Observer observer);

  // Returns nothing on success: then on_ready follows, or the end of the process. EAGAIN, ENOMEM, EMFILE and the like
  // are returned at once, and the attempt leaves nothing behind.
  [[nodiscard]] std::optional<sys::Error> start(NodeId node, RunId run, std::string path, const config::Process& config,
                                                const supervision::Shutdown& shutdown, config::Timeout start_timeout);
  // Opens the files of those that write to files of their own once more, after a rotation. Returns the failures.
  [[nodiscard]] std::vector<std::string> reopen_outputs();
  // The daemon's log; `error_fd`, the target of `inherit`, stays the caller's. Opens those once more that processes
  // have of their own. Returns the failures.
  [[nodiscard]] std::vector<std::string> use_log(const config::Log& log, int error_fd);
  [[nodiscard]] const config::Log& daemon_log() const noexcept { return daemon_log_; }
  [[nodiscard]] int error_fd() const noexcept { return error_fd_; }
  // Changes the settings that may change while a process runs: its watchdog, what its end means, and how it is asked
  // to, or to read its files again.
  void change(RunId run, const config::Process& config, const supervision::Shutdown& shutdown,
              config::Timeout start_timeout);
  // Sends reload_signal to the ready processes that have one; only to the process itself, because its group did not ask
  // for it.
  void tell_to_reload(const std::function<bool(const std::string& path)>& concerns);
  // An operator's signal, only to the process itself as well. False: this run is over, or its process has ended.
  [[nodiscard]] bool signal(RunId run, int signal);
  void stop(RunId run);  // sends stop_signal, then CONT; kill_mode decides to which processes
  void kill(RunId run);  // SIGKILL to its group
  // The daemon stops: kills processes that are not ready yet, because they will not become ready. `tell` is called for
  // each before.
  void abort_starts(const std::function<void(RunId, const std::string&)>& tell);
  void kill_all();
  // Kills processes whose deadline has passed.
  void on_deadline(Instant now);
  [[nodiscard]] std::optional<Instant> next_deadline() const;
  void tick(Instant now);  // once a second

  // The daemon ends: logs the last output. Blocks for at most a second, while the log has no room.
  void finish_output();

  // True for a process that has ended, and whose run is not over yet.
  [[nodiscard]] bool has_ended(RunId run) const;
  [[nodiscard]] bool knows(pid_t pid) const { return children_.knows(pid); }
  // `pid` is known and has become a zombie. Reads its remaining messages first (on_ready may be called), then has the
  // rest of its group end. The run is over when take_over() returns it. Nothing: it was a post_stop.
  [[nodiscard]] std::optional<ChildEnd> leader_ended(pid_t pid);
  // `pid` is known and has become a zombie: whether it has exited with status 0 soon after its start, unasked. To be
  // called before leader_ended().
  [[nodiscard]] bool has_exited_soon(pid_t pid) const;
  // Whether it is a leader that has ended and stays a zombie.
  [[nodiscard]] bool waits_for_group(pid_t pid) const;
  // Reaps the leaders of the runs that are over. To be called after any child has ended, and after on_deadline().
  [[nodiscard]] std::vector<ChildEnd> take_over(Instant now);

  // The state that the next program takes over in an upgrade, and how it does: the children, and what earlier ones
  // left.
  [[nodiscard]] std::vector<ProcessHandover> hand_over() const;
  [[nodiscard]] std::vector<RemainsHandover> hand_over_remains() const { return remains_.hand_over(); }
  void resume(const ProcessHandover& from, const config::Process& config, const supervision::Shutdown& shutdown,
              config::Timeout start_timeout);
  void resume(const RemainsHandover& from, Instant now);

  [[nodiscard]] const ProcessChild* find(RunId run) const { return children_.find(run); }
  [[nodiscard]] bool empty() const { return children_.empty(); }
  // How many have begun; only grows.
  [[nodiscard]] std::uint64_t post_stops() const noexcept { return post_stops_; }
  void for_each(const std::function<void(const ProcessChild&)>& visit) const;

 private:
  struct NotifyEnd {
    std::string address;  // sd_notify
    sys::Fd fd;           // notify_fd: the child's end
  };
  [[nodiscard]] static log::OutputBudget::Limits limits_of(const config::Process& config);
  [[nodiscard]] sys::Result<pid_t> launch(ProcessChild& child);
  [[nodiscard]] std::optional<sys::Error> place_output(ProcessChild& child, Launch& launch);
  [[nodiscard]] sys::Result<sys::Fd> other_end(const config::Output& output) const;
  [[nodiscard]] sys::Result<NotifyEnd> open_notify(ProcessChild& child);
  void read_report(ProcessChild& child);
  void read_notify(ProcessChild& child);
  void read_notify_fd(ProcessChild& child);
  void read_notify_socket(ProcessChild& child);
  void on_notification(ProcessChild& child, const Notification& news);
  void become_ready(ProcessChild& child);
  [[nodiscard]] ProcessChild* leave(RunId run);
  void kill_now(ProcessChild& child);
  void expire_start(ProcessChild& child);
  void expire_watchdog(ProcessChild& child, Instant now);
  [[nodiscard]] static ChildEnd end_of(const ProcessChild& child, int wait_status);
  [[nodiscard]] bool group_lives(ProcessChild& child, Instant now);
  void tell_given_up(ProcessChild& child);
  [[nodiscard]] bool is_over(ProcessChild& child, Instant now);
  [[nodiscard]] ChildEnd bury(ProcessChild& child, Instant now);
  void put_aside_output(ProcessChild& child, Instant now);
  [[nodiscard]] bool begins_post_stop(ProcessChild& child, Instant now);
  [[nodiscard]] sys::Result<pid_t> launch_post_stop(ProcessChild& child, const ChildEnd& end);
  void post_stop_ended(ProcessChild& child, Instant now);

  void change_log(ProcessChild& child, const config::OwnLog& log);
  [[nodiscard]] std::optional<sys::Error> open_log(ProcessChild& child) const;

  loop::Loop& loop_;
  ChildSystem& system_;
  config::Log daemon_log_;
  int error_fd_ = 2;
  Observer observer_;
  RunTable<ProcessChild> children_;
  OutputRemains remains_;
  std::uint64_t post_stops_ = 0;
  bool all_killed_ = false;
};

}  // namespace bulkhead::process
