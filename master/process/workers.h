// The master's workers: starts them, reads their channels, sends them messages, records their ends. Slot first, fork
// second: a worker's record, channel and deadline exist before its process does.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "master/config/config.h"
#include "master/net/listener.h"
#include "master/process/child_system.h"
#include "master/process/errands.h"
#include "master/process/handler_errors.h"
#include "master/process/handover.h"
#include "master/process/kill_watch.h"
#include "master/process/run_table.h"
#include "master/process/worker_lines.h"
#include "master/process/worker_logs.h"
#include "master/process/worker_programs.h"
#include "master/supervision/event.h"
#include "worker/ipc/channel.h"
#include "worker/ipc/message.h"
#include "worker/loop/loop.h"
#include "worker/sys/fd.h"

namespace bulkhead::process {

using supervision::Instant;
using supervision::NodeId;
using supervision::RunId;

// A worker that sends without end costs the master a bounded part of its time: after so many messages in one turn of
// the loop, none of its messages is read for a moment, and it waits.
inline constexpr int kMessagesPerTurn = 64;
inline constexpr int kMessagesAtEnd = 2048;  // more than its channel holds
inline constexpr std::chrono::milliseconds kChannelPause{10};

// A worker writes a heartbeat once a second. If it is this old at two checks in a row, the worker hangs; two checks,
// because at the first the whole machine may have been suspended.
inline constexpr std::chrono::nanoseconds kHung = std::chrono::seconds(4);

struct WorkerProcess {
  using State = RunState;
  NodeId node = 0;
  RunId run = 0;
  std::string path;  // "root/echo/2"
  net::Listener* listener = nullptr;
  std::uint32_t index = 0;
  std::uint32_t generation = 1;  // of the configuration that it was started under
  pid_t pid = -1;
  State state = State::starting;
  bool was_ready = false;
  bool retiring = false;  // it reported that it leaves on purpose
  bool drained = false;
  bool told_to_drain = false;     // to be let go
  bool alone = false;             // the channel is closed in its direction
  bool held_back = false;         // it was started not accepting
  std::uint64_t in_hand = 0;      // drained or retiring: connections that it has accepted and that have no child yet
  bool late = false;              // at the last check
  std::uint64_t incarnation = 1;  // of the master's program that started it
  std::string failure;            // the known reason of its failure, as a predicate: "was not ready within …"
  bool shortage = false;          // it failed for want of processes or memory
  std::uint64_t repairs = 0;      // of its listener's sockets, when it was started
  KillWatch watch;
  std::optional<Instant> start_deadline;    // to be ready; of one that was asked because it has served enough: to leave
  Instant ready_since{};                    // of a worker that another program of the master has started: long ago
  std::optional<Instant> unanswered_since;  // the first `signal` that it has not answered
  std::optional<std::uint32_t> user;        // that its connections run as; nothing: root's worker may become anybody
  sys::Fd channel;
  std::unique_ptr<loop::Poll> poll;
  std::unique_ptr<loop::Timer> pause;  // no message is read until it is due
  std::unique_ptr<WorkerLines> lines;  // null: it writes to a log daemon by itself
};

// How urgently workers are let go.
enum class LetGo : std::uint8_t {
  asked,    // they drain: clients in the queue are still accepted
  at_once,  // they close their sockets as if the master were gone
  killed    // those that have not closed them are killed
};

// News from a worker that changes nothing here.
using WorkerNews = std::variant<ipc::Crash, ipc::Paused, ipc::Resumed, ipc::Wanted, ipc::Worn>;

class Workers {
 public:
  struct Settings {
    config::Log log;
    std::uint32_t generation = 1;
    int handler_error_fd = 2;  // handler programs get what host::open_again() makes of it
    std::uint64_t incarnation = 1;
  };
  struct Observer {
    std::function<void(WorkerProcess&)> on_ready;
    std::function<void(WorkerProcess&, const WorkerNews&)> on_news;
    std::function<void(WorkerProcess&)> on_hung;               // it has been killed
    std::function<void(WorkerProcess&)> on_table_failed = {};  // it leaves because it cannot work with its table
  };

  // `system` and `errors` must outlive it.
  Workers(loop::Loop& loop, ChildSystem& system, HandlerErrors& errors, Settings settings, Observer observer);

  // Opens the worker programs.
  [[nodiscard]] std::optional<sys::Error> find_program();

  // Returns nothing on success: then on_ready follows, or the end of the process.
  [[nodiscard]] std::optional<sys::Error> start(NodeId node, RunId run, std::string path, net::Listener& listener,
                                                std::uint32_t index, std::optional<Instant> deadline);
  void stop(RunId run);  // asks it to retire
  void kill(RunId run);
  void kill_all();  // but not those that have been let go
  // See running::Workforce.
  [[nodiscard]] bool let_go(const net::Listener& listener, LetGo how);
  // A worker that has been let go; null: it has not been, or is gone.
  [[nodiscard]] const WorkerProcess* find_let_go(RunId run) const;
  // To all its ready workers. False: one of them has not taken it, because its channel is full.
  bool send(net::Listener& listener, const ipc::Down& message);
  void send_to_older(const net::Listener& listener, std::uint32_t generation, const ipc::Down& message);
  // Another listening socket in place of the one with its number; workers that are starting get it once they are ready.
  void give_socket(const net::Listener& listener, const net::ListeningSocket& socket);
  // What one of a listener's workers is to carry out.
  [[nodiscard]] Errands& errands() noexcept { return errands_; }
  [[nodiscard]] const Errands& errands() const noexcept { return errands_; }
  [[nodiscard]] bool has_ready(const net::Listener& listener) const;
  // Asks a worker that has served enough to retire, if that is possible now. False: it is not, and will ask again.
  [[nodiscard]] bool recycle(RunId run, ipc::WornReason reason);
  // Ends all of them, as we want it: replaced, and not counted.
  void replace_all(net::Listener& listener, const char* why);
  // Kills workers that have not answered a `signal` for `patience`: a hanging worker must not keep its connections from
  // being ended, and once it is gone the master ends them.
  void kill_unresponsive(net::Listener& listener, std::chrono::nanoseconds patience);
  // Called once a second: checks the heartbeats of all workers in the table, and kills those that hang.
  void kill_hung(Instant now);
  // The generation of the configuration that workers are started under from now on: of all listeners, or of those at or
  // below a path that a reload tries before it settles for all, until then or until it is forgotten.
  void set_generation(std::uint32_t generation);
  void try_generation(const std::string& path, std::uint32_t generation) { tried_[path] = generation; }
  void forget_generation(const std::string& path) { tried_.erase(path); }
  void set_incarnation(std::uint64_t incarnation) { incarnation_ = incarnation; }
  // Applies to all workers, existing ones included. Returns a sentence for each that continues with the old log.
  [[nodiscard]] std::vector<std::string> replace_log(const config::Log& log, int handler_error_fd);
  // The same for the log of one listener.
  [[nodiscard]] std::vector<std::string> replace_log(net::Listener& listener, const config::OwnLog& own);
  // Logs the workers that have been killed and do not end. Once a second.
  void tell_unkillable(Instant now);
  // Kills workers that have not become ready in time.
  void on_deadline(Instant now);
  // The daemon stops: kills workers that are not ready yet, because they will not become ready. `tell` is called for
  // each before.
  void abort_starts(const std::function<void(RunId, const std::string&)>& tell);
  [[nodiscard]] std::optional<Instant> next_deadline() const;

  // True for a process that has ended and has not been reaped yet.
  [[nodiscard]] bool has_ended(RunId run) const;
  [[nodiscard]] bool knows(pid_t pid) const { return workers_.knows(pid); }
  [[nodiscard]] const WorkerProcess& of(pid_t pid) const { return workers_.of(pid); }
  // The process has been reaped: returns its record, after its remaining messages have been read.
  [[nodiscard]] WorkerProcess take(pid_t pid);

  [[nodiscard]] bool has(const net::Listener& listener, std::uint32_t index) const;
  [[nodiscard]] const WorkerProcess* find(RunId run) const { return workers_.find(run); }
  // Whether all have emptied the queue, are leaving or have exited. Only if `patient`, a worker that is still starting
  // is waited for, and so is a listener that has none at all: all of them may be waiting for their restarts.
  [[nodiscard]] bool all_drained(const net::Listener& listener, bool patient) const;
  // Some worker is leaving and still holds accepted connections without a child.
  [[nodiscard]] bool any_in_hand(const net::Listener& listener) const;
  // For another program to continue with, and the continuation there.
  [[nodiscard]] std::vector<WorkerHandover> hand_over() const;
  void resume(const WorkerHandover& from, net::Listener& listener);
  [[nodiscard]] WorkerLogs& logs() noexcept { return logs_; }
  [[nodiscard]] const WorkerLogs& logs() const noexcept { return logs_; }
  // The open worker programs, and others in their place.
  [[nodiscard]] const WorkerPrograms& programs() const noexcept { return programs_; }
  void set_programs(WorkerPrograms programs) noexcept { programs_ = std::move(programs); }

  void for_each(const std::function<void(const WorkerProcess&)>& visit) const;

 private:
  void kill_now(WorkerProcess& worker);
  void tell_of_log(WorkerProcess& worker, std::vector<std::string>& problems);
  [[nodiscard]] sys::Fd inherited_log(net::Listener& listener);
  [[nodiscard]] std::optional<sys::Error> replace_inherited(const WorkerProcess& worker);
  void on_channel(RunId run);
  void watch_channel(WorkerProcess& worker, std::unique_ptr<loop::Poll> poll);
  [[nodiscard]] bool read_messages(RunId run, int limit);  // false: there may be more
  void on_message(WorkerProcess& worker, const ipc::Up& message);
  void on_hello(WorkerProcess& worker, const ipc::Hello& hello);
  void on_ready(WorkerProcess& worker);
  void on_fail(WorkerProcess& worker, const ipc::Fail& fail);
  [[nodiscard]] std::optional<RunId> send_to_one(const net::Listener& listener, const ipc::Down& message);
  static void tell_whether_to_accept(const WorkerProcess& worker);
  static void give_repaired(const WorkerProcess& worker);
  // `why` becomes its known failure.
  void kill_because(WorkerProcess& worker, std::string why);
  void protocol_error(WorkerProcess& worker, const char* what);

  struct ErrorEnds {
    int write;  // programs' descriptor 2
    int read;
    bool captured = false;  // a worker reads the other end
    sys::Fd own;            // `write`, where nobody else has it
  };
  [[nodiscard]] sys::Result<ErrorEnds> error_ends(net::Listener& listener, std::uint32_t index, int null);
  struct Ends {  // all that a worker gets, and our ends of it
    ipc::ChannelPair channel;
    sys::Fd null;
    ErrorEnds errors;
    WorkerLogs::End log;
    sys::Fd plan;
  };
  [[nodiscard]] sys::Result<Ends> open_ends(const std::string& path, net::Listener& listener, std::uint32_t index,
                                            RunId run);
  [[nodiscard]] WorkerProcess& enter(RunId run, std::string path, net::Listener& listener, std::uint32_t index);
  [[nodiscard]] std::uint32_t generation_of(const net::Listener& listener) const;

  loop::Loop& loop_;
  ChildSystem& system_;
  HandlerErrors& errors_;
  std::uint32_t generation_;
  std::map<std::string, std::uint32_t> tried_;  // by path
  std::uint64_t incarnation_;
  int handler_error_fd_;
  Observer observer_;
  WorkerPrograms programs_;
  RunTable<WorkerProcess> workers_;
  WorkerLogs logs_;
  Errands errands_;
};

}  // namespace bulkhead::process
