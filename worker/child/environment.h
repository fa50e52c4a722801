// The environment of an exec'd handler: the plan's variables, the same for every connection, and this connection's own.
// UCSPI's TCP names (cr.yp.to/proto/ucspi-tcp.txt), the TCP6 copies (ucspi-tcp6), the IPC and UNIX names for Unix
// sockets (s6-ipcserverd, ucspi-unix), REMOTE_ADDR and REMOTE_PORT (systemd.socket(5)), REMOTE_HOST (xinetd(8)),
// LISTEN_* for a program that takes its connection as systemd's do (sd_listen_fds(3)), and BULKHEAD_*. Nothing is
// looked up, so there is no TCPREMOTEHOST and no TCPREMOTEINFO. Behind a balancer all of these describe the client that
// its PROXY header names; the connection's own ends are BULKHEAD_REAL_*, and the rest of the header is SSL_* (s6-tlsd)
// and BULKHEAD_PROXY_*.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "worker/ipc/peer.h"

namespace bulkhead::child {

// The PROXY header of a connection, and the connection's real ends.
struct ProxyFacts {
  std::string_view header;  // as received; empty: none
  ipc::Peer peer;
  ipc::Peer local;
};

struct ConnectionFacts {
  ipc::Peer peer;
  ipc::Peer local;
  std::string_view local_path;   // Unix sockets; "@name" in the abstract namespace
  std::string_view remote_path;  // the same for a client that has bound its end, else empty
  std::string_view listener;     // "root/echo"
  std::uint64_t id;
  std::uint32_t generation;
  bool stress = false;                   // BULKHEAD_STRESS: the handler should be brief
  std::uint32_t deadline_s = 0;          // BULKHEAD_DEADLINE: how long it may last from now; 0: no limit
  bool listen_fds = false;               // style listen_fds: LISTEN_*
  std::uint32_t drain_fd = 0;            // BULKHEAD_DRAIN_FD; 0: none
  std::int64_t source_connections = -1;  // TCPCONNNUM, IPCCONNNUM: how many its source had before this one
                                         // (s6-tcpserverd); -1: not counted
  ProxyFacts proxy = {};
};

// Holds one connection's variables; reused for the next. Allocates once, in the constructor.
class Environment {
 public:
  // `largest_base`: how many variables the plan says at most, over all handlers.
  explicit Environment(std::size_t largest_base);
  // Names that no program gets, even if the configuration sets them; ended by a null pointer.
  void leave_out(std::vector<const char*> names) { left_out_ = std::move(names); }

  struct Built {
    const char* const* variables;  // ended by a null pointer
    // The value of LISTEN_PID, with room for a pid and its NUL: only the child can know what to write there. Null
    // without listen_fds.
    char* pid_field;
  };
  // `base`: NAME=value pointers, ended by a null pointer. Each name comes once: the connection's own wins. The result
  // is valid until the next call.
  [[nodiscard]] Built build(const char* const* base, const ConnectionFacts& facts) noexcept;

  static constexpr std::size_t kPidRoom = 12;

 private:
  char* add(std::string_view name, std::string_view value) noexcept;
  void add(std::string_view name, std::uint32_t value) noexcept;
  [[nodiscard]] bool is_left_out(std::string_view name) const noexcept;
  [[nodiscard]] const char** place_for(std::string_view name) noexcept;
  void add_tcp(const ConnectionFacts& facts) noexcept;
  void add_unix(const ConnectionFacts& facts) noexcept;
  [[nodiscard]] char* add_listen_fds() noexcept;
  // proxy_environment.cpp
  static constexpr std::size_t kLongestClaim = 512;  // characters of a balancer's text; a longer one is left out
  void add_proxy(const ConnectionFacts& facts) noexcept;
  void add_real(std::string_view name, const ipc::Peer& end, std::string_view path) noexcept;
  void add_printable(std::string_view name, std::string_view bytes) noexcept;

  std::vector<const char*> left_out_;
  std::vector<const char*> pointers_;
  std::size_t base_count_ = 0;
  std::size_t count_ = 0;
  char text_[8192];
  std::size_t used_ = 0;
  std::uint32_t own_uid_;
  std::uint32_t own_gid_;
  std::uint32_t own_pid_;
};

}  // namespace bulkhead::child
