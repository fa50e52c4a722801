// The environment of an exec'd handler: what the plan says for every connection, and this connection's own variables.
// UCSPI's TCP names (cr.yp.to/proto/ucspi-tcp.txt), the IPC and UNIX names for Unix sockets (s6-ipcserverd,
// ucspi-unix), REMOTE_ADDR and REMOTE_PORT (systemd.socket(5)), REMOTE_HOST (xinetd(8)), and BULKHEAD_*. Nothing is
// looked up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "worker/ipc/peer.h"

namespace bulkhead::child {

struct ConnectionFacts {
  ipc::Peer peer;
  ipc::Peer local;
  const char* local_path;  // Unix sockets
  const char* listener;    // "root/echo"
  std::uint64_t id;
  std::uint32_t generation;
};

// Room for one connection's variables; reused for the next. Allocates once, in the constructor.
class Environment {
 public:
  // `largest_base`: how many variables the plan says at most, over all handlers.
  explicit Environment(std::size_t largest_base);
  // `base`: NAME=value pointers, ended by a null pointer. The result ends likewise and is valid until the next call.
  [[nodiscard]] const char* const* build(const char* const* base, const ConnectionFacts& facts) noexcept;

 private:
  void add(const char* name, const char* value) noexcept;
  void add(const char* name, std::uint32_t value) noexcept;
  void add_tcp(const ConnectionFacts& facts) noexcept;
  void add_unix(const ConnectionFacts& facts) noexcept;

  std::vector<const char*> pointers_;
  std::size_t count_ = 0;
  char text_[2048];
  std::size_t used_ = 0;
};

}  // namespace bulkhead::child
