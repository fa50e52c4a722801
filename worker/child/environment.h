// The environment of an exec'd handler: what the plan says for every connection, and this connection's own variables.
// UCSPI's TCP names (cr.yp.to/proto/ucspi-tcp.txt), the IPC and UNIX names for Unix sockets (s6-ipcserverd,
// ucspi-unix), REMOTE_ADDR and REMOTE_PORT (systemd.socket(5)), REMOTE_HOST (xinetd(8)), and BULKHEAD_*. Nothing is
// looked up. Behind a balancer all of these speak of the client that its PROXY header names; the connection's own ends
// are BULKHEAD_REAL_*, and what else the header says is SSL_* (s6-tlsd) and BULKHEAD_PROXY_*.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "worker/ipc/peer.h"

namespace bulkhead::child {

// A PROXY header that came with the connection, and the ends it has in truth.
struct ProxyFacts {
  std::string_view header;  // as it came; empty: none
  ipc::Peer peer;
  ipc::Peer local;
};

struct ConnectionFacts {
  ipc::Peer peer;
  ipc::Peer local;
  const char* local_path;  // Unix sockets
  const char* listener;    // "root/echo"
  std::uint64_t id;
  std::uint32_t generation;
  ProxyFacts proxy = {};
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
  // proxy_environment.cpp
  static constexpr std::size_t kLongestClaim = 512;  // characters of a balancer's text; a longer one is left out
  void add_proxy(const ConnectionFacts& facts) noexcept;
  void add_real(const char* name, const ipc::Peer& end, const char* path) noexcept;
  void add_printable(const char* name, std::string_view bytes) noexcept;

  std::vector<const char*> pointers_;
  std::size_t count_ = 0;
  char text_[8192];
  std::size_t used_ = 0;
};

}  // namespace bulkhead::child
