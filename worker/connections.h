// This worker's connections: begins a child for each, reaps it, signals it. Between accept and the end of a connection
// everything happens in here, and every step of it stands in the listener's table.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string_view>
#include <utility>
#include <vector>

#include "worker/arrival.h"
#include "worker/child/environment.h"
#include "worker/child/remote_path.h"
#include "worker/child/start.h"
#include "worker/handlers/built_in.h"
#include "worker/handlers/modules.h"
#include "worker/ipc/message.h"
#include "worker/ipc/plan.h"
#include "worker/ipc/table.h"
#include "worker/lifetimes.h"
#include "worker/log/log.h"
#include "worker/pid_map.h"
#include "worker/source_watch.h"
#include "worker/sys/fd.h"

namespace bulkhead::worker {

class Connections {
 public:
  // `modules` is null where no handler of the plan is one.
  Connections(const ipc::Plan& plan, ipc::Table& table, SourceWatch& sources, Lifetimes& lifetimes, int channel,
              int bell, int handler_error_fd, handlers::Modules* modules);

  // What became of an accepted connection.
  enum class Begun {
    served,     // a child has it
    shortage,   // no process to be had now (errno); slot and connection stay the caller's to try again
    impossible  // the handler cannot be started, which the log has been told; both stay the caller's to give up
  };
  // Its slot is claimed by this worker. On `served` the descriptor has been closed.
  [[nodiscard]] Begun begin(Arrival& arrival) noexcept;
  // A slot of which no connection came.
  void release(std::uint32_t slot) noexcept;

  // Reaps every child that has ended. True when there was one. wait4(2) of any child walks over all of them each time
  // it is asked (65 ns each: half a millisecond for 8,000); one of a pid goes straight there. So while children are
  // few, it is any child until there is none; when they are many, each by its pid, once.
  bool reap() noexcept;
  // One child, which SIGCHLD has named. False: it has not ended, or is not ours.
  bool reap(pid_t pid) noexcept { return reap_one(pid); }
  // All, beside an accept, while that costs nearly nothing: it saves a wake for every end.
  void reap_along() noexcept {
    if (few()) reap();
  }
  [[nodiscard]] bool few() const noexcept { return active() <= kFew; }
  // Kills what is left of groups whose deadline has passed, frees the slots of groups that are gone.
  void sweep_lingering(std::int64_t now_ns) noexcept;
  // Signals one connection's group, or all of them; SIGTERM is followed by SIGCONT. Returns how many got it.
  std::uint32_t signal(std::uint32_t slot, std::uint32_t use, int signal) noexcept;

  // The slot of the connection whose first process that is, also when only its group is left; else kNoEntry.
  [[nodiscard]] std::uint32_t slot_of(pid_t leader) noexcept;
  // Called before a child is reaped, so that what it wrote last is read while it can still be named, and when a
  // connection (its id) is over.
  void watch_output(std::function<void()> before_reap, std::function<void(std::uint64_t)> on_end) {
    before_reap_ = std::move(before_reap);
    on_output_end_ = std::move(on_end);
  }
  // `on_lingering` is called when a handler has left something behind that holds its slot, also in the middle of an
  // accept.
  void watch_lingering(std::function<void()> on_lingering) { on_lingering_ = std::move(on_lingering); }

  void log_moments(bool start, bool end) noexcept {
    log_start_ = start;
    log_end_ = end;
  }

  [[nodiscard]] std::uint32_t active() const noexcept { return pids_.size(); }
  [[nodiscard]] bool idle() const noexcept { return pids_.size() == 0 && !lingers(); }
  [[nodiscard]] bool lingers() const noexcept { return !lingering_.empty(); }  // something that a handler left behind

 private:
  static constexpr std::uint32_t kFew = 128;

  // What is needed to start a handler of the plan.
  struct Program {
    const handlers::BuiltIn* built_in;  // else null
    std::vector<const char*> argv;      // as execve(2) wants them, pointers into the plan; empty for a built-in
    std::vector<const char*> environment;
  };
  static constexpr pid_t kAny = -1;

  bool reap_one(pid_t which) noexcept;
  pid_t start(const Arrival& arrival, ipc::Slot& slot, bool& impossible) noexcept;
  pid_t start_exec(const Arrival& arrival, ipc::Slot& slot, bool& impossible) noexcept;
  pid_t start_built_in(const Arrival& arrival, ipc::Slot& slot, bool& impossible) noexcept;
  pid_t start_module(const Arrival& arrival, ipc::Slot& slot) noexcept;
  // `remote_path` has to outlive the result.
  [[nodiscard]] child::ConnectionFacts facts_of(const Arrival& arrival, const ipc::Slot& slot,
                                                const child::RemotePath& remote_path) noexcept;
  pid_t judge(const child::Started& started, ipc::Slot& slot, const char* program, bool& impossible) noexcept;
  void greet(int connection) noexcept;
  void ended(pid_t pid, int status, const rusage& usage, bool group_lives) noexcept;
  void report_crash(std::uint32_t index, const ipc::Slot& slot, int status, const rusage& usage,
                    std::int64_t now) noexcept;
  [[nodiscard]] ipc::Peer own_local(const Arrival& arrival) const noexcept;
  void ring(bool wanted) noexcept;
  [[nodiscard]] bool under_stress() noexcept;
  [[nodiscard]] std::uint64_t id_of(std::uint32_t index) noexcept;

  const ipc::Plan& plan_;
  const ipc::PlanHeader& header_;
  ipc::Table& table_;
  SourceWatch& sources_;
  Lifetimes& lifetimes_;
  int channel_;
  int bell_;
  int handler_error_fd_;
  handlers::Modules* modules_;
  PidMap pids_;
  confine::Limits limits_;
  std::vector<Program> programs_;  // one for each handler of the plan
  bool log_start_;
  bool log_end_;
  bool executes_ = false;  // at least one of them is not ours, and may leave processes behind
  std::vector<const char*> socket_names_;
  std::string_view banner_;
  child::Environment environment_;
  std::vector<std::uint32_t> lingering_;
  std::function<void()> before_reap_;
  std::function<void(std::uint64_t)> on_output_end_;
  std::function<void()> on_lingering_;
  log::RateLimit start_failures_;
  std::int64_t crash_window_ns_ = 0;
  std::uint32_t crashes_in_window_ = 0;
  std::uint64_t crashes_unreported_ = 0;
};

}  // namespace bulkhead::worker
