// Connections without a worker: when a worker dies or retires, its children become the master's
// (PR_SET_CHILD_SUBREAPER, prctl(2)). They continue, stay in their listener's table, counted and limited, and are
// reaped here.
//
// The tables are hostile input: a slot is copied before it is read, and a pid is used only if waitid() confirms that it
// is an unreaped child of the master. A busy lock is tried again from tick(); the master never waits for a lock.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "master/net/listener.h"
#include "master/process/child_system.h"
#include "master/process/handover.h"
#include "master/supervision/event.h"
#include "worker/ipc/connection_log.h"
#include "worker/ipc/connection_output.h"
#include "worker/log/log.h"

namespace bulkhead::process {

class Adoption {
 public:
  static constexpr supervision::RunId kMaster = 0;  // the owner of adopted slots

  struct Crash {
    net::Listener& listener;
    std::uint64_t id;
    const ipc::Slot& slot;
    int wait_status;
    const rusage& usage;
  };
  using OnCrash = std::function<void(const Crash&)>;

  // `is_ours`: whether a pid is a worker or process child, which no table may claim. `system` must outlive it.
  Adoption(ChildSystem& system, bool log_ends, std::function<bool(pid_t)> is_ours, OnCrash on_crash);

  void set_log_ends(bool log_ends) { log_ends_ = log_ends; }

  // The worker of `run` has been reaped. Takes over its slots; returns how many connections continue without it.
  std::uint32_t sweep(net::Listener& listener, supervision::RunId run);

  // The connection of this listener whose first process is `leader`, even if only that process's group is left.
  [[nodiscard]] std::optional<ipc::Origin> find(const net::Listener& listener, pid_t leader) const;
  [[nodiscard]] bool knows(pid_t pid) const { return adopted_.contains(pid); }
  // An adopted child is a zombie: asks what is left of its group to end, reaps it, frees its slot.
  void reap(pid_t pid);
  // An unknown child was reaped. If it belongs to a worker whose death has not been noticed yet, the sweep that follows
  // will ask for it; otherwise it was not a connection.
  void park(pid_t pid, int wait_status, std::int64_t now_ns);

  // Signals the groups of all adopted connections of this listener; returns how many.
  std::uint32_t signal_all(net::Listener& listener, int signal);
  [[nodiscard]] bool signal_one(net::Listener& listener, std::uint32_t slot, std::uint32_t use, int signal);

  // Ends connections whose max_lifetime is over, as worker/lifetimes.h does.
  void on_deadline(supervision::Instant now);
  [[nodiscard]] std::optional<supervision::Instant> next_deadline() const;

  // Retries the steps that a busy lock delayed, and ends lingering groups. True: call again within milliseconds.
  bool tick(std::int64_t now_ns);

  [[nodiscard]] std::uint32_t count(const net::Listener& listener) const;
  // For another program to continue with, once no step is delayed; and the continuation there, once all workers that
  // the tables may name are known.
  [[nodiscard]] bool is_settled() const noexcept { return deferred_.empty(); }
  [[nodiscard]] AdoptionHandover hand_over() const;
  void resume(const std::vector<net::Listener*>& listeners, const AdoptionHandover& from);
  // The listener is being removed: forgets its connections.
  void forget(const net::Listener& listener);

 private:
  struct Connection {
    net::Listener* listener;
    std::uint32_t slot;
    std::uint32_t use;
    bool asked;
    ipc::Lifetime lifetime;
    std::int64_t deadline_ns;  // 0: none
  };
  struct Deferred {
    net::Listener* listener;
    std::uint32_t slot;
    enum class What { release, end, end_crashed, finish } what;
    admission::Charge charge{};  // to be charged to the source first
  };
  struct Lingering {
    net::Listener* listener;
    std::uint32_t slot;
    pid_t group;
    std::int64_t deadline_ns;
  };
  struct Parked {
    pid_t pid;
    int wait_status;
    std::int64_t until_ns;
  };

  using Adopted = std::unordered_map<pid_t, Connection>;

  [[nodiscard]] static std::int64_t believable_deadline(const ipc::Slot& copy, std::int64_t now_ns);
  void forget_deadline(Adopted::const_iterator which) { deadlines_.erase({which->second.deadline_ns, which->first}); }
  bool tell(const net::Listener& listener, pid_t pid, int signal);
  void overdue(pid_t pid, Connection& connection, std::int64_t now_ns);
  [[nodiscard]] bool adopt_slot(net::Listener& listener, std::uint32_t slot, const ipc::Slot& copy);
  void ended(const Connection& connection, const ipc::Slot& slot, const ipc::Ended& how, const rusage& usage,
             bool group_lives);
  [[nodiscard]] static admission::Charge charge_of(const config::Listener& config, const ipc::Slot& slot,
                                                   const ipc::Ended& how);
  [[nodiscard]] bool try_penalise(net::Listener& listener, std::uint32_t slot, admission::Charge& charge);
  void change(Deferred wanted);
  [[nodiscard]] bool try_change(Deferred& change);
  [[nodiscard]] bool end_lingering(const Lingering& group, std::int64_t now_ns);

  ChildSystem& system_;
  bool log_ends_;
  std::function<bool(pid_t)> is_ours_;
  OnCrash on_crash_;
  Adopted adopted_;
  std::set<std::pair<std::int64_t, pid_t>> deadlines_;  // of connections that have a deadline, the earliest first
  std::vector<Deferred> deferred_;
  std::vector<Lingering> lingering_;
  std::vector<Parked> parked_;
  log::RateLimit penalty_limit_;
};

}  // namespace bulkhead::process
