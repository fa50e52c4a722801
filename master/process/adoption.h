// Connections without a worker: when a worker dies or retires, its children become the master's
// (PR_SET_CHILD_SUBREAPER, prctl(2)). They continue, stay in their listener's table, counted and limited, and are
// reaped here.
//
// The tables are hostile input: everything is decided on copies (worker/ipc/table_view.h), no pid is believed that
// waitid() does not confirm to be an unreaped child of ours, and none is signalled whose real user is not the one that
// its worker ran as. What becomes of a slot is an order to the next worker (net::Listener::order); the master changes
// no table.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <cstdint>
#include <deque>
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
    bool client_gone;  // no crash: its client had left
  };
  using OnCrash = std::function<void(const Crash&)>;

  // `is_ours`: whether a pid is a worker or process child, which no table may claim. `system` must outlive it.
  Adoption(ChildSystem& system, bool log_ends, std::function<bool(pid_t)> is_ours, OnCrash on_crash);

  void set_log_ends(bool log_ends) { log_ends_ = log_ends; }

  // A worker that has been reaped, and whose slots are to be looked through.
  struct Sweep {
    net::Listener* listener = nullptr;
    supervision::RunId run = 0;
    // The user that its connections run as; nothing: any, because root's worker may have become anybody.
    std::optional<std::uint32_t> user;
    std::uint32_t next = 0;     // slot
    std::uint32_t adopted = 0;  // so far: connections that continue without it
    std::uint32_t logged = 0;   // ends of connections
    std::uint64_t unlogged = 0;
  };
  // Takes over its slots, for some milliseconds. True: done; false: call again.
  [[nodiscard]] bool sweep(Sweep& sweep);

  // The connection of this listener whose first process is `leader`, even if only that process's group is left.
  [[nodiscard]] std::optional<ipc::Origin> find(const net::Listener& listener, pid_t leader) const;
  [[nodiscard]] bool knows(pid_t pid) const { return adopted_.contains(pid); }
  // An adopted child is a zombie: asks what is left of its group to end, reaps it, orders its slot to be freed.
  void reap(pid_t pid);
  // An unknown child was reaped. If it belongs to a worker whose death has not been noticed yet, the sweep that follows
  // will ask for it; otherwise it was not a connection.
  void park(pid_t pid, int wait_status, std::int64_t now_ns);

  // Signals the groups of all adopted connections of this listener: as soon as signal_some() comes to them.
  void signal_all(const net::Listener& listener, int signal);
  // For some milliseconds. True: done; false: call again.
  bool signal_some();
  // Ends it now, unless it is being ended already. False: it is not here.
  [[nodiscard]] bool end_one(const net::Listener& listener, std::uint32_t slot, std::uint32_t use, ipc::EndCause cause);
  [[nodiscard]] bool signal_one(net::Listener& listener, std::uint32_t slot, std::uint32_t use, int signal);

  // Ends connections whose max_lifetime is over, and those that a look at their sockets finds due, as
  // worker/lifetimes.h does.
  void on_deadline(supervision::Instant now);
  [[nodiscard]] std::optional<supervision::Instant> next_deadline() const;

  // Ends what lingers, for some milliseconds at a time.
  void tick(std::int64_t now_ns);
  // The listeners for which there have been orders since the last call.
  [[nodiscard]] std::set<net::Listener*> take_ordered() noexcept { return std::exchange(ordered_, {}); }

  // The adopted connections of this listener.
  [[nodiscard]] std::uint32_t count(const net::Listener& listener) const;
  // Whether the listener has an adopted connection, or a group that one has left.
  [[nodiscard]] bool has_any(const net::Listener& listener) const;
  // The slots that adopted connections and left groups take in the listener's table, for another one in its place.
  [[nodiscard]] std::vector<ipc::KeptUse> slots_of(const net::Listener& listener) const;
  // For another program to continue with, and the continuation there, when everybody else who may be in the tables is
  // known.
  [[nodiscard]] AdoptionHandover hand_over() const;
  void resume(const std::function<net::Listener*(const std::string&)>& find, const AdoptionHandover& from);
  // The listener is going away: forgets what concerns it.
  void forget(net::Listener& listener);

 private:
  struct Connection {
    net::Listener* listener;
    std::uint32_t slot;
    std::uint32_t use;
    std::optional<std::uint32_t> user;
    bool asked;
    ipc::Lifetime lifetime;
    ipc::EndCause cause;
    std::int64_t deadline_ns;  // 0: none
    std::int64_t look_ns = 0;  // when its socket is looked at next; 0: never
  };
  struct Lingering {
    net::Listener* listener;
    std::uint32_t slot;
    ipc::MasterWord word;  // once it is gone
    pid_t group;
    std::optional<std::uint32_t> user;
    std::int64_t deadline_ns;
  };
  struct Asked {
    pid_t pid;
    const net::Listener* listener;
    std::uint32_t use;
    int signal;
  };
  struct Parked {
    pid_t pid;
    int wait_status;
    std::int64_t until_ns;
  };

  using Adopted = std::unordered_map<pid_t, Connection>;

  [[nodiscard]] static std::int64_t believable_deadline(const ipc::Slot& copy, std::int64_t now_ns);
  void forget_times(Adopted::const_iterator which) {
    deadlines_.erase({which->second.deadline_ns, which->first});
    looks_.erase({which->second.look_ns, which->first});
  }
  void look_soon(pid_t pid);
  void look_at(pid_t pid, Connection& connection, std::int64_t now_ns);
  [[nodiscard]] bool may_signal(pid_t pid, const Connection& connection);
  bool tell(pid_t pid, const Connection& connection, int signal);
  [[nodiscard]] ipc::ClosedBy who_closed(const ipc::Slot& slot);
  void overdue(pid_t pid, Connection& connection, ipc::EndCause cause, std::int64_t now_ns);
  void sweep_slot(Sweep& sweep, std::uint32_t slot, const ipc::Slot& copy);
  [[nodiscard]] bool adopt_slot(Sweep& sweep, std::uint32_t slot, const ipc::Slot& copy);
  [[nodiscard]] std::optional<int> take_parked(pid_t pid);  // its wait status
  void add(pid_t pid, const Connection& connection);
  void order(net::Listener& listener, std::uint32_t slot, const ipc::MasterWord& word);
  void ended(const Connection& connection, const ipc::Slot& slot, const ipc::Ended& how, const rusage& usage,
             bool group_lives, Sweep* sweep);
  void log_end_of(const Connection& connection, const ipc::Slot& slot, const ipc::Ended& how, const rusage& usage,
                  Sweep* sweep);
  void linger(const Lingering& group);
  [[nodiscard]] bool end_lingering(const Lingering& group, std::int64_t now_ns);
  void forget_one(const net::Listener* listener);

  ChildSystem& system_;
  bool log_ends_;
  std::function<bool(pid_t)> is_ours_;
  OnCrash on_crash_;
  Adopted adopted_;
  std::unordered_map<const net::Listener*, std::uint32_t> counts_;  // of adopted_
  std::set<std::pair<std::int64_t, pid_t>> deadlines_;              // of those that have one, the next first
  std::set<std::pair<std::int64_t, pid_t>> looks_;                  // the same for looks at their sockets
  std::vector<Lingering> lingering_;
  std::size_t next_lingering_ = 0;
  std::vector<Parked> parked_;
  std::deque<Asked> asked_;  // in this order
  std::set<net::Listener*> ordered_;
};

}  // namespace bulkhead::process
