// This worker's connections, from the child that the starter has begun to its end: which slot a pid belongs to,
// reaping, signals, and what a handler leaves behind. Every step is recorded in the listener's table.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "worker/arrival.h"
#include "worker/client_watch.h"
#include "worker/crash_reports.h"
#include "worker/end_bytes.h"
#include "worker/ipc/connection_log.h"
#include "worker/ipc/message.h"
#include "worker/ipc/plan.h"
#include "worker/ipc/table/table.h"
#include "worker/lifetimes.h"
#include "worker/pid_map.h"
#include "worker/source_watch.h"
#include "worker/starter.h"
#include "worker/wear.h"

namespace bulkhead::worker {

class Connections {
 public:
  // `clients` is null where every handler is built in; `bytes` where they are not counted.
  Connections(const ipc::Plan& plan, ipc::Table& table, Starter& starter, SourceWatch& sources, Lifetimes& lifetimes,
              ClientWatch* clients, EndBytes* bytes, int channel, int bell);

  // The arrival's slot is claimed by this worker. On `served` the descriptor has been closed.
  [[nodiscard]] Begun begin(Arrival& arrival) noexcept;
  // Frees a claimed slot that got no connection, or no child.
  void release(std::uint32_t slot) noexcept;

  // Reaps every child that has ended. True when there was one. wait4(2) of any child walks over all of them each time
  // it is asked (65 ns each: half a millisecond for 8,000); one of a pid goes straight there. So while children are
  // few, it is any child until none is left; when they are many, each by its pid, once.
  bool reap() noexcept;
  // Reaps the child that SIGCHLD has named. False: it has not ended, or is not ours.
  bool reap(pid_t pid) noexcept { return reap_one(pid); }
  // Reaps all beside an accept, while that costs nearly nothing: it saves a wake for every end.
  void reap_along() noexcept {
    if (few()) reap();
  }
  [[nodiscard]] bool few() const noexcept { return active() <= kFew; }
  // Carries out what the master has ordered for connections of workers that are gone, in the slots from `first` on,
  // before `end`.
  void collect(std::uint32_t first, std::uint32_t end) noexcept;
  // Kills what is left of groups whose deadline has passed, frees the slots of groups that are gone.
  void sweep_lingering(std::int64_t now_ns) noexcept;
  // Signals one connection's group, or all of them; SIGTERM is followed by SIGCONT. Returns how many got it.
  std::uint32_t signal(std::uint32_t slot, std::uint32_t use, int signal) noexcept;

  // Ends one connection of ours: its stop_signal, later SIGKILL.
  void end(const ipc::End& order) noexcept;

  // The slot of the connection whose first process is `leader`, also when only its group is left; else kNoEntry.
  [[nodiscard]] std::uint32_t slot_of(pid_t leader) noexcept;
  // `before_reap` is called before a child is reaped, so that its last output is read while the child can still be
  // named; `on_end` when a connection, given by its id, is over.
  void watch_output(std::function<void()> before_reap, std::function<void(std::uint64_t)> on_end) {
    before_reap_ = std::move(before_reap);
    on_output_end_ = std::move(on_end);
  }
  // `on_worn` is called when a limit of `wear` has just been reached, also in the middle of an accept.
  void watch_wear(Wear& wear, std::function<void()> on_worn) {
    wear_ = &wear;
    on_worn_ = std::move(on_worn);
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
  [[nodiscard]] bool lingers() const noexcept { return !lingering_.empty(); }  // a handler has left processes behind

 private:
  static constexpr std::uint32_t kFew = 128;

  static constexpr pid_t kAny = -1;

  bool reap_one(pid_t which) noexcept;
  void ended(pid_t pid, int status, const rusage& usage, bool group_lives) noexcept;
  void log_end(std::uint64_t id, const ipc::Slot& slot, const ipc::Ended& how, std::int64_t now_ns) noexcept;
  void ring(bool wanted) noexcept;
  [[nodiscard]] std::uint64_t id_of(std::uint32_t index) noexcept;

  const ipc::PlanHeader& header_;
  const char* path_;
  ipc::Table& table_;
  Starter& starter_;
  SourceWatch& sources_;
  Lifetimes& lifetimes_;
  ClientWatch* clients_;
  EndBytes* bytes_;
  CrashReports crash_reports_;
  int bell_;
  PidMap pids_;
  bool log_start_;
  bool log_end_;
  std::vector<std::uint32_t> lingering_;
  std::function<void()> before_reap_;
  std::function<void(std::uint64_t)> on_output_end_;
  std::function<void()> on_lingering_;
  Wear* wear_ = nullptr;
  std::function<void()> on_worn_;
};

}  // namespace bulkhead::worker
