// One configured listener as the master holds it: the sockets, the connection table and the bell that all its workers
// share. It outlives every worker, and every restart of the listener itself.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "master/config/config.h"
#include "master/net/end_phase.h"
#include "master/net/gate.h"
#include "master/net/handover.h"
#include "master/net/inherited_sockets.h"
#include "master/net/listening_socket.h"
#include "master/net/tally.h"
#include "master/supervision/event.h"
#include "worker/ipc/message.h"
#include "worker/ipc/table_view.h"
#include "worker/log/log.h"
#include "worker/sys/fd.h"
#include "worker/sys/result.h"

namespace bulkhead::net {

class Listener {
 public:
  // `number` is unique for the daemon's life (below ipc::kMaxListeners); `path` is the node's, "root/echo".
  // `inherited` has to outlive it.
  Listener(std::uint32_t number, std::string path, config::Listener config, InheritedSockets& inherited);

  // What other listeners give up for an address: sockets that are bound to it, which are shared with them; or those
  // that collide with it, by their descriptors, which a new one is bound beside.
  struct GivenUp {
    std::vector<ListeningSocket> same;
    std::vector<int> in_the_way;
  };
  using Lend = std::function<sys::Result<GivenUp>(const config::ListenAddress&)>;
  // Binds every address and makes the table. On failure nothing stays open, and failed_address() is the address that
  // caused it, if any. `lend` is asked first for what other listeners give up.
  [[nodiscard]] std::optional<sys::Error> open(const Lend& lend = nullptr);
  // In place of open(), for a worker that must not serve clients.
  [[nodiscard]] std::optional<sys::Error> open_without_sockets();
  // For another program to continue with: everything except the configuration. Not while addresses are left over.
  [[nodiscard]] ListenerHandover hand_over() const;
  // In place of open(). An error: the handover names something that the configuration or the system does not have.
  [[nodiscard]] std::optional<sys::Error> resume(const ListenerHandover& from);
  [[nodiscard]] const config::ListenAddress* failed_address() const noexcept { return failed_address_; }
  [[nodiscard]] bool is_open() const noexcept { return !sockets_.empty(); }
  // Changes to another configuration. Addresses that both configurations name keep their sockets, which get the new
  // options; new addresses are bound; addresses that are no longer named stay open, for the existing workers, until
  // close_left_over(). A new address that collides with one of those is `reserved`, until begin_listening(). On failure
  // nothing has changed. Undone by changing back.
  [[nodiscard]] std::optional<sys::Error> change(const config::Listener& config, const Lend& lend = nullptr);
  // The same for a listener that is closed and has no workers, before it is opened again.
  [[nodiscard]] std::optional<sys::Error> change_closed(const config::Listener& config);
  // False: there are none, or other listeners continue with them.
  [[nodiscard]] bool refuse_left_over() noexcept;
  void close_left_over() noexcept;
  [[nodiscard]] bool has_left_over_clients() const noexcept;  // in a queue
  // Shares the sockets that are bound to this address with another listener. They have the options of the listener that
  // set them last.
  [[nodiscard]] sys::Result<std::vector<ListeningSocket>> lend(const config::ListenAddress& address);
  // Its sockets that collide with the address and serve it so far.
  [[nodiscard]] std::vector<const ListeningSocket*> in_the_way(const config::ListenAddress& address) const;
  // The same sockets, by their descriptors, when another one is about to listen in their place.
  [[nodiscard]] std::vector<int> give_way(const config::ListenAddress& address);
  // Its reserved sockets listen from now on, in the place of others. After an error a socket is `waiting`, and is tried
  // again like one that was lost.
  struct Others {
    std::vector<int> in_the_way;
    std::vector<int> leaving;  // they refuse already
  };
  [[nodiscard]] std::vector<sys::Error> begin_listening(
      const std::function<Others(const config::ListenAddress&)>& others);
  void restore_options();
  // Repairs the socket with this number, which has a fault (socket_repair.h), where no other listener has it too. After
  // an error it is `waiting`.
  [[nodiscard]] std::optional<sys::Error> repair(std::uint16_t number);
  // How often a socket has been replaced, or made to listen again: workers that started before need to get it.
  [[nodiscard]] std::uint64_t repairs() const noexcept { return repairs_; }
  // Other limits: for workers that are started from now on, and, by the message, for one that lives to carry out.
  [[nodiscard]] ipc::Limits limit(const config::Listener& config) noexcept;
  [[nodiscard]] const ipc::Shape& limits() const noexcept { return limits_; }
  // First step of ending it: see refuse_new_connections(). Then close(), once every worker has emptied the queue.
  void refuse_new_connections() noexcept;
  // Takes that back, as far as sockets are open. Sockets that clients can no longer reach are left over for the
  // existing workers; change() makes others.
  void welcome();
  void close() noexcept;
  // The same for every process that still has the sockets, except those that were inherited or that other listeners
  // have too.
  void close_for_all() noexcept;

  [[nodiscard]] std::uint32_t number() const noexcept { return number_; }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  // The log of its workers and connections; the daemon's unless it has one of its own, which stays the caller's.
  [[nodiscard]] log::Sink& log() const noexcept { return log_ != nullptr ? *log_ : log::own(); }
  void log_to(log::Sink& log) noexcept { log_ = &log; }
  [[nodiscard]] const config::Listener& config() const noexcept { return config_; }
  // Remembers the names of its handlers under `generation`, to describe connections of that time: connections outlive
  // reloads. The last 100 generations are kept.
  void remember_handlers(std::uint32_t generation);
  // Empty if it is not remembered; both numbers come from the table.
  [[nodiscard]] std::string handler_name(std::uint32_t generation, std::uint32_t number) const;
  [[nodiscard]] const std::vector<ListeningSocket>& sockets() const noexcept { return sockets_; }
  // By which other processes' descriptors are known to be them (proc_pid_fd(5)).
  [[nodiscard]] std::vector<ino_t> socket_inodes() const;
  [[nodiscard]] const ListeningSocket* socket(std::uint16_t number) const noexcept;  // null: it no longer exists
  [[nodiscard]] const ipc::TableView& table() const noexcept { return table_; }
  // As they are shown: see Tally.
  [[nodiscard]] const ipc::Counts& counts() const;
  // As many slots as a sweep looks at: no honest worker has ever used one from here on, whatever the table says.
  [[nodiscard]] std::uint32_t most_slots() const noexcept { return most_slots_; }
  // Its part of daemon.max_connections, which is `total`. After resume() it has none until the first of these.
  void grant(const ipc::Lease& lease, std::uint32_t total) noexcept;
  [[nodiscard]] const ipc::Lease& lease() const noexcept { return lease_; }
  // Places that its connections have now, as the table says; never fewer than honest workers have taken since the last
  // grant() without regard to it.
  [[nodiscard]] std::uint32_t places_taken() noexcept;
  // Wakes the workers that wait for a slot, or for another lease.
  void ring() const noexcept;
  // The end of a connection without a worker: stands beside its slot until a worker carries it out.
  void order(std::uint32_t slot, const ipc::MasterWord& word);
  // Whether such an end stands beside this use of the slot: its process is gone, whatever the table says of it.
  [[nodiscard]] bool has_ended(std::uint32_t slot, std::uint32_t use) const;
  // Marks the slot as the master's.
  void adopt(std::uint32_t slot, std::uint32_t use) noexcept;
  // The slots of the next orders that no worker has carried out; nothing: there are none.
  [[nodiscard]] std::optional<ipc::Collect> to_collect() const;
  // A worker says that it has looked at these: those that are done leave.
  void collected(const ipc::Collect& range);
  // Its worker processes, from before the fork until they have been reaped.
  void worker_begins() noexcept {
    ++workers_;
    wants_repair_ = false;  // its first action
  }
  void worker_gone() noexcept {
    --workers_;
    wants_repair_ = true;  // it may have held the lock
  }
  [[nodiscard]] bool has_workers() const noexcept { return workers_ != 0; }
  // Another table in place of one that workers fail at, with these slots, without a worker until it is done. Then, as
  // long as go_on_renewing() says false, it is to be called again: it works for some milliseconds. Connections may end
  // meanwhile. After an error the table is the old one.
  [[nodiscard]] std::optional<sys::Error> begin_renewing(std::vector<ipc::KeptUse> kept);
  [[nodiscard]] sys::Result<bool> go_on_renewing();
  [[nodiscard]] bool is_renewing() const noexcept { return renewal_.has_value(); }
  [[nodiscard]] int table_fd() const noexcept { return table_fd_.get(); }
  [[nodiscard]] int bell() const noexcept { return bell_.get(); }
  // The drain notice of bulkhead/handler.h: the reading end of a pipe, for listeners with handlers that want it. The
  // master holds the only writing end, so that closing it is seen by all connections, those of dead workers included,
  // and no connection can take it away from the others.
  [[nodiscard]] int drain_notice() const noexcept { return drain_read_.get(); }
  void tell_draining() noexcept { drain_write_.reset(); }

  // Whether its workers may accept.
  [[nodiscard]] Gate& gate() noexcept { return gate_; }
  [[nodiscard]] const Gate& gate() const noexcept { return gate_; }

  // How far its end has come, set by the sequence that ends it, and when that phase ends at the latest, if it is known.
  void set_end_phase(EndPhase phase, std::optional<supervision::Instant> until = {}) noexcept {
    end_phase_ = phase;
    phase_ends_ = until;
  }
  [[nodiscard]] std::optional<supervision::Instant> phase_ends() const noexcept { return phase_ends_; }
  [[nodiscard]] EndPhase end_phase() const noexcept { return end_phase_; }
  // Its port is closing or closed, and it will not serve again before it has ended.
  [[nodiscard]] bool is_ending() const noexcept {
    return end_phase_ >= EndPhase::closing && end_phase_ < EndPhase::done;
  }

 private:
  // The sockets for one entry of `listen`: existing ones, or new ones.
  struct Place {
    const config::ListenAddress* address;
    std::vector<ListeningSocket*> kept;
    std::vector<ListeningSocket> made;
  };
  [[nodiscard]] std::optional<sys::Error> make_table();
  struct Renewal {
    sys::Fd memfd;
    ipc::TableView table;
    ipc::Counts counts;
    std::vector<ipc::KeptUse> kept;
    std::size_t next = 0;
    std::vector<std::uint32_t> ordered;  // slots, since it began
  };
  void finish_renewing();
  [[nodiscard]] std::uint32_t places_about_to_be_free() const;
  void take_limits(const config::Listener& config) noexcept;
  struct Order {
    ipc::MasterWord word;
    bool serving = false;  // the table counts its connection
  };
  static void count(OpenEnds& ends, const Order& order, std::uint32_t by) noexcept;
  [[nodiscard]] std::optional<sys::Error> check_room(const config::Listener& config) const;
  [[nodiscard]] std::optional<sys::Error> make_drain_notice();
  [[nodiscard]] sys::Result<std::vector<Place>> gather(const config::Listener& config,
                                                       std::vector<ListeningSocket*> old, const Lend& lend,
                                                       std::vector<std::string>& remarks);
  [[nodiscard]] std::optional<sys::Error> make(Place& place, const config::SocketOptions& options, GivenUp given,
                                               std::vector<std::string>& remarks);
  [[nodiscard]] std::vector<ListeningSocket> take(std::vector<Place> places);
  void tell(std::vector<std::string> remarks);
  void refuse_new_connections_at(std::vector<ListeningSocket>& sockets) noexcept;

  std::uint32_t number_;
  log::Sink* log_ = nullptr;  // null: the daemon's
  std::string path_;
  config::Listener config_;
  std::map<std::uint32_t, std::vector<std::string>> handler_names_;  // by generation
  InheritedSockets& inherited_;
  std::vector<ListeningSocket> sockets_;
  std::vector<ListeningSocket> left_over_;
  sys::Fd table_fd_;
  sys::Fd bell_;
  sys::Fd drain_read_;
  sys::Fd drain_write_;
  ipc::TableView table_;
  std::optional<Renewal> renewal_;
  ipc::Shape limits_;
  ipc::Lease lease_;
  std::uint32_t total_ = 0;
  bool lease_is_known_ = true;             // the table contains it
  bool lease_is_new_ = false;              // a worker that holds the lock may not have read it
  std::uint32_t most_slots_ = 0;           // the largest max_connections that the table has had
  std::map<std::uint32_t, Order> orders_;  // by slot
  OpenEnds open_;                          // all of them
  std::uint32_t workers_ = 0;
  bool wants_repair_ = false;
  mutable Tally tally_;
  const config::ListenAddress* failed_address_ = nullptr;
  std::vector<std::string> remarks_;  // remarks about options that the system changed, each logged once
  std::uint16_t next_socket_ = 0;
  std::uint64_t repairs_ = 0;
  Gate gate_;
  EndPhase end_phase_ = EndPhase::idle;
  std::optional<supervision::Instant> phase_ends_;
};

}  // namespace bulkhead::net
