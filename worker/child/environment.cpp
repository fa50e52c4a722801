#include "worker/child/environment.h"

#include <cstring>

#include "worker/ipc/connection_log.h"

namespace bulkhead::child {

namespace {

constexpr std::size_t kVariables = 32;  // of one connection, at most

}  // namespace

Environment::Environment(std::size_t largest_base) : pointers_(largest_base + kVariables + 1, nullptr) {}

void Environment::add(const char* name, const char* value) noexcept {
  const std::size_t name_length = std::strlen(name);
  const std::size_t value_length = std::strlen(value);
  const std::size_t needed = name_length + 1 + value_length + 1;
  if (count_ + 1 == pointers_.size() || used_ + needed > sizeof text_) return;
  char* at = text_ + used_;
  std::memcpy(at, name, name_length);
  at[name_length] = '=';
  std::memcpy(at + name_length + 1, value, value_length + 1);
  pointers_[count_++] = at;
  used_ += needed;
}

void Environment::add(const char* name, std::uint32_t value) noexcept {
  char digits[12];
  ipc::decimal_text(value, digits);
  add(name, digits);
}

void Environment::add_tcp(const ConnectionFacts& facts) noexcept {
  char remote[64];
  char local[64];
  ipc::address_text(facts.peer, remote);
  ipc::address_text(facts.local, local);
  add("PROTO", "TCP");
  add("TCPREMOTEIP", remote);
  add("TCPREMOTEPORT", facts.peer.port);
  add("TCPLOCALIP", local);
  add("TCPLOCALPORT", facts.local.port);
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
  add("IPCLOCALPATH", facts.local_path);
  add("UNIXREMOTEEUID", facts.peer.uid);
  add("UNIXREMOTEEGID", facts.peer.gid);
  add("UNIXREMOTEPID", pid);
  add("UNIXLOCALPATH", facts.local_path);
}

const char* const* Environment::build(const char* const* base, const ConnectionFacts& facts) noexcept {
  count_ = 0;
  used_ = 0;
  while (*base != nullptr && count_ + 1 < pointers_.size()) pointers_[count_++] = *base++;
  if (facts.peer.family == AF_UNIX) {
    add_unix(facts);
  } else {
    add_tcp(facts);
  }
  char id[17];
  (void)ipc::hex_text(facts.id, id);
  add("BULKHEAD_CONN_ID", id);
  add("BULKHEAD_LISTENER", facts.listener);
  add("BULKHEAD_GENERATION", facts.generation);
  if (!facts.proxy.header.empty()) add_proxy(facts);
  pointers_[count_] = nullptr;
  return pointers_.data();
}

}  // namespace bulkhead::child
