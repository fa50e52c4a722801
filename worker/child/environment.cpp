#include "worker/child/environment.h"

#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "worker/child/printable.h"
#include "worker/ipc/connection_log.h"

namespace bulkhead::child {

namespace {

constexpr std::size_t kVariables = 40;  // of one connection, at most

}  // namespace

Environment::Environment(std::size_t largest_base)
    : pointers_(largest_base + kVariables + 1, nullptr),
      own_uid_(geteuid()),
      own_gid_(getegid()),
      own_pid_(static_cast<std::uint32_t>(getpid())) {}

bool Environment::is_left_out(std::string_view name) const noexcept {
  return std::any_of(left_out_.begin(), left_out_.end(),
                     [name](const char* one) { return one != nullptr && name == one; });
}

// The base's place for that name, else the next free one; null: no room.
const char** Environment::place_for(std::string_view name) noexcept {
  for (std::size_t i = 0; i < base_count_; ++i) {
    if (std::strncmp(pointers_[i], name.data(), name.size()) == 0 && pointers_[i][name.size()] == '=') {
      return &pointers_[i];
    }
  }
  return count_ + 1 < pointers_.size() ? &pointers_[count_++] : nullptr;
}

// Returns the place of the value; null if the variable is left out or does not fit, which the limits of its parts
// exclude.
char* Environment::add(std::string_view name, std::string_view value) noexcept {
  if (is_left_out(name)) return nullptr;
  const std::size_t needed = name.size() + 1 + value.size() + 1;
  if (used_ + needed > sizeof text_) return nullptr;
  const char** place = place_for(name);
  if (place == nullptr) return nullptr;
  char* const at = text_ + used_;
  char* const where = at + name.size() + 1;
  std::memcpy(at, name.data(), name.size());
  at[name.size()] = '=';
  std::memcpy(where, value.data(), value.size());
  where[value.size()] = '\0';
  *place = at;
  used_ += needed;
  return where;
}

void Environment::add(std::string_view name, std::uint32_t value) noexcept {
  char digits[12];
  add(name, {digits, ipc::decimal_text(value, digits)});
}

void Environment::add_tcp(const ConnectionFacts& facts) noexcept {
  char remote_text[64];
  char local_text[64];
  const std::string_view remote(remote_text, ipc::address_text(facts.peer, remote_text));
  const std::string_view local(local_text, ipc::address_text(facts.local, local_text));
  add("PROTO", "TCP");
  add("TCPREMOTEIP", remote);
  add("TCPREMOTEPORT", facts.peer.port);
  add("TCPLOCALIP", local);
  add("TCPLOCALPORT", facts.local.port);
  if (facts.source_connections >= 0) add("TCPCONNNUM", static_cast<std::uint32_t>(facts.source_connections));
  if (facts.peer.family == AF_INET6) {
    add("TCP6REMOTEIP", remote);
    add("TCP6REMOTEPORT", facts.peer.port);
    add("TCP6LOCALIP", local);
    add("TCP6LOCALPORT", facts.local.port);
  }
  add("REMOTE_ADDR", remote);
  add("REMOTE_HOST", remote);
  add("REMOTE_PORT", facts.peer.port);
}

void Environment::add_unix(const ConnectionFacts& facts) noexcept {
  const auto pid = static_cast<std::uint32_t>(facts.peer.pid < 0 ? 0 : facts.peer.pid);
  add("PROTO", "IPC");
  add("IPCREMOTEEUID", facts.peer.uid);
  add("IPCREMOTEEGID", facts.peer.gid);
  // Escaped, because the client chose it.
  char path[4 * sizeof sockaddr_un::sun_path + 1];
  const std::string_view remote_path = printable(facts.remote_path, path, sizeof path) ? path : "";
  add("IPCREMOTEPATH", remote_path);
  add("IPCLOCALPATH", facts.local_path);
  if (facts.source_connections >= 0) add("IPCCONNNUM", static_cast<std::uint32_t>(facts.source_connections));
  add("UNIXREMOTEEUID", facts.peer.uid);
  add("UNIXREMOTEEGID", facts.peer.gid);
  add("UNIXREMOTEPID", pid);
  add("UNIXREMOTEPATH", remote_path);
  add("UNIXLOCALUID", own_uid_);
  add("UNIXLOCALGID", own_gid_);
  add("UNIXLOCALPID", own_pid_);
  add("UNIXLOCALPATH", facts.local_path);
  // As systemd does, if the client has a name.
  if (!remote_path.empty()) add("REMOTE_ADDR", remote_path);
}

char* Environment::add_listen_fds() noexcept {
  add("LISTEN_FDS", "1");
  add("LISTEN_FDNAMES", "connection");
  constexpr char kRoom[kPidRoom] = {};
  return add("LISTEN_PID", {kRoom, sizeof kRoom - 1});
}

Environment::Built Environment::build(const char* const* base, const ConnectionFacts& facts) noexcept {
  count_ = 0;
  used_ = 0;
  while (*base != nullptr && count_ + 1 < pointers_.size()) pointers_[count_++] = *base++;
  base_count_ = count_;
  if (facts.peer.family == AF_UNIX) {
    add_unix(facts);
  } else {
    add_tcp(facts);
  }
  char id[17];
  add("BULKHEAD_CONN_ID", ipc::hex_text(facts.id, id));
  add("BULKHEAD_LISTENER", facts.listener);
  add("BULKHEAD_GENERATION", facts.generation);
  if (!facts.proxy.header.empty()) add_proxy(facts);
  add("BULKHEAD_STRESS", facts.stress ? "1" : "0");
  if (facts.deadline_s != 0) add("BULKHEAD_DEADLINE", facts.deadline_s);
  if (facts.drain_fd != 0) add("BULKHEAD_DRAIN_FD", facts.drain_fd);
  char* const pid_field = facts.listen_fds ? add_listen_fds() : nullptr;
  pointers_[count_] = nullptr;
  return {pointers_.data(), pid_field};
}

}  // namespace bulkhead::child
