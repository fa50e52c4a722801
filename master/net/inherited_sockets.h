// Listening sockets that the parent of the daemon, such as a service manager, has bound: "systemd:NAME" and "fd:N".
// They are examined before anything else is opened, because later a number could belong to one of the daemon's own
// descriptors.
//
// They are kept as long as the daemon serves, so that a listener that was stopped can be started again; meanwhile its
// clients wait in the queue. The service manager holds them too, so they are left unchanged at the end: no filter, no
// unlink, and the queued connections are for the next instance.
#pragma once

#include <cstdint>
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

  // Finds all listening stream sockets among the open descriptors, and their names in LISTEN_FDNAMES. A descriptor that
  // LISTEN_FDS includes but that cannot be used (not a socket, not a stream socket, not listening, the same socket
  // twice) is closed. All sockets become close-on-exec; the variables are removed, so that no child applies them to
  // itself. Call it once, first in main().
  [[nodiscard]] static InheritedSockets take_over();

  // The remarks of take_over() and close_unused(), one log line each. Reading clears them.
  [[nodiscard]] std::vector<std::string> take_remarks();

  // A copy of one socket, and the proof that no other listener uses it: the socket is free again when `lease` is
  // destroyed.
  struct Lent {
    sys::Fd fd;
    std::shared_ptr<const void> lease;
  };
  // The sockets that `address` stands for, at least one. Errors about a missing socket have no errno; their text names
  // the sockets that were passed instead.
  [[nodiscard]] sys::Result<std::vector<Lent>> open(const config::ListenAddress& address);

  // For another program to continue with, and the continuation there.
  [[nodiscard]] std::vector<InheritedHandover> hand_over() const;
  void resume(const std::vector<InheritedHandover>& from);
  // The number with which the socket of this lease was passed; -1: none.
  [[nodiscard]] int number_of(const std::shared_ptr<const void>& lease) const;
  [[nodiscard]] std::shared_ptr<const void> lease_again(int number);

  // A socket that an earlier instance of the daemon has stored with the service manager, if it is bound to `address`
  // as the daemon itself would bind it. It belongs to the caller from now on, and no longer counts as passed.
  [[nodiscard]] sys::Fd take_stored(const config::ListenAddress& address);
  // The names of the other stored sockets, which close_unused() has closed. Reading clears them.
  [[nodiscard]] std::vector<std::string> take_unwanted() { return std::exchange(unwanted_, {}); }

  // Closes the sockets that no listener uses, because their clients would wait in vain.
  void close_unused();
  // Closes all sockets: from now on a listener that closes its copy closes the daemon's last one.
  void forget() noexcept { sockets_.clear(); }

 private:
  struct Socket {
    int number = -1;   // the number with which it was passed
    std::string name;  // its name in LISTEN_FDNAMES; empty: not from LISTEN_FDS
    sys::Fd fd;
    std::weak_ptr<const void> lease;
  };
  void find_listening();
  void read_variables();
  void take_passed(int number, const std::string& name);
  [[nodiscard]] std::string nothing_at(const config::ListenAddress& address) const;

  std::vector<Socket> sockets_;
  std::vector<std::string> remarks_;
  std::vector<std::string> unwanted_;  // names of stored sockets
  std::string why_none_;               // the remark about LISTEN_FDS as a whole
};

// The name of a listening socket in the store of the service manager. It is derived from its address, so storing the
// same socket twice creates no second entry.
[[nodiscard]] std::string store_name(int fd);

// The kernel's number of a socket, which it never gives twice (socket(7), SO_COOKIE).
[[nodiscard]] std::uint64_t cookie_of(int fd);

// The address that a socket is bound to: "127.0.0.1:4040", "[::1]:4040", "unix:/run/x.sock", "unix:@name".
[[nodiscard]] std::string bound_text(int fd);

}  // namespace bulkhead::net
