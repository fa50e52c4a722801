// Listening sockets that whoever started the daemon has bound: "systemd:NAME" and "fd:N". They are looked at before
// anything else is opened, because later a number could be a descriptor of our own.
//
// They are kept for as long as the daemon serves, so that a listener that was stopped can be started again; its clients
// wait in the queue meanwhile. The service manager holds them too, so they are left as they are at the end: no filter,
// no unlink, and what is queued is the next instance's.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "master/config/config.h"
#include "master/net/handover.h"
#include "worker/sys/fd.h"
#include "worker/sys/result.h"

namespace bulkhead::net {

class InheritedSockets {
 public:
  InheritedSockets() = default;

  // All listening stream sockets among the descriptors that are open now, and the names of those that LISTEN_FDS
  // speaks of. What it speaks of and cannot be used (no socket, no stream, not listening, one socket twice) is closed.
  // All become close-on-exec; the variables are removed, so that no child takes them for its own. Call it once, first
  // thing in main().
  [[nodiscard]] static InheritedSockets take_over();

  // What take_over() and close_unused() have to say: one line for the log each. Cleared by reading.
  [[nodiscard]] std::vector<std::string> take_remarks();

  // A copy of one, and the proof that nobody else has it: it is free again when `lease` is gone.
  struct Lent {
    sys::Fd fd;
    std::shared_ptr<const void> lease;
  };
  // What `address` stands for, at least one. Errors about what there is have no errno; their text names what is there
  // instead.
  [[nodiscard]] sys::Result<std::vector<Lent>> open(const config::ListenAddress& address);

  // For another program to go on with, and its continuation there.
  [[nodiscard]] std::vector<InheritedHandover> hand_over() const;
  void resume(const std::vector<InheritedHandover>& from);
  // Under which number the socket of this lease came; -1: none.
  [[nodiscard]] int number_of(const std::shared_ptr<const void>& lease) const;
  [[nodiscard]] std::shared_ptr<const void> lease_again(int number);

  // One that an earlier instance of ours left with the service manager, if it is bound to `address` as we would bind
  // it. It is the caller's from now on, and not counted among those that were passed.
  [[nodiscard]] sys::Fd take_stored(const config::ListenAddress& address);
  // Under which names the others of those came, which close_unused() has closed. Cleared by reading.
  [[nodiscard]] std::vector<std::string> take_unwanted() { return std::exchange(unwanted_, {}); }

  // Closes those that nobody has: their clients would wait for nothing.
  void close_unused();
  // Closes all: from now on a listener that closes its copy closes the last one of ours.
  void forget() noexcept { sockets_.clear(); }

 private:
  struct Socket {
    int number = -1;   // as it came
    std::string name;  // of LISTEN_FDNAMES; empty: not of LISTEN_FDS
    sys::Fd fd;
    std::weak_ptr<const void> lease;
  };
  void find_listening();
  void read_variables();
  void take_passed(int number, const std::string& name);
  [[nodiscard]] std::string nothing_at(const config::ListenAddress& address) const;

  std::vector<Socket> sockets_;
  std::vector<std::string> remarks_;
  std::vector<std::string> unwanted_;  // stored ones
  std::string why_none_;               // the remark about LISTEN_FDS as a whole
};

// What a listening socket of ours is called in the service manager's store: by its address, so that whoever stores it
// again stores nothing new.
[[nodiscard]] std::string store_name(int fd);

// "127.0.0.1:4040", "[::1]:4040", "unix:/run/x.sock", "unix:@name": what a socket is bound to.
[[nodiscard]] std::string bound_text(int fd);

}  // namespace bulkhead::net
