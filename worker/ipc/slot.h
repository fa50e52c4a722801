// What stands in a connection table (worker/ipc/table/table.h), for everybody who reads one: slots, counts, limits and
// names. Values only; nothing here touches shared memory.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string_view>

#include "worker/ipc/lifetime.h"
#include "worker/ipc/limits.h"
#include "worker/ipc/peer.h"
#include "worker/sys/enum_words.h"

namespace bulkhead::ipc {

inline constexpr std::uint32_t kNoSource = 0;
inline constexpr std::uint32_t kNoSlot = 0xffffffff;

enum class SlotState : std::uint32_t { free, claimed, serving, ending };
// How the end of a connection is counted.
enum class EndCount : std::uint8_t { normal, crashed, client_gone };
enum class Refusal : std::uint32_t {
  denied,
  proxy,
  proxy_timeout,
  penalty,
  per_source,
  rate_per_source,
  rate,
  max_connections,
  handler_start,
  daemon_max,  // daemon.max_connections
  count_
};

inline constexpr std::size_t kRefusals = static_cast<std::size_t>(Refusal::count_);
// The config's and the control protocol's words.
inline constexpr sys::EnumWords<Refusal> kRefusalWords{
    "denied",          "proxy", "proxy_timeout",   "penalty",       "per_source",
    "rate_per_source", "rate",  "max_connections", "handler_start", "daemon_max_connections"};
[[nodiscard]] constexpr std::string_view refusal_text(Refusal refusal) noexcept {
  return kRefusalWords.text(refusal, "unknown");
}

// Those that on_full speaks of.
[[nodiscard]] constexpr bool is_capacity(Refusal refusal) noexcept {
  return refusal == Refusal::rate || refusal == Refusal::max_connections || refusal == Refusal::daemon_max;
}

// The room of a table, and its listener's limits, which may change within it.
struct Shape {
  std::uint32_t capacity = 0;    // max_connections
  std::uint32_t rate_count = 0;  // max_connection_rate: so many in any window of rate_per_ns; 0: unlimited
  std::int64_t rate_per_ns = 0;
  std::uint32_t room = 0;  // slots; 0: as many as `capacity` has at the beginning
  std::uint32_t reserved = 0;
};

// An end of a TCP connection, as the kernel finds its socket by it.
struct SocketEnd {
  std::uint16_t family = AF_UNSPEC;
  std::uint16_t port = 0;
  std::uint8_t address[16] = {};
};
[[nodiscard]] inline SocketEnd socket_end(const Peer& peer) noexcept {
  SocketEnd out{peer.family, peer.port, {}};
  std::copy(std::begin(peer.address), std::end(peer.address), std::begin(out.address));
  return out;
}

struct Slot {
  std::uint32_t use = 0;
  SlotState state = SlotState::free;
  std::uint32_t next_free = kNoSlot;
  std::uint32_t worker = 0;  // index of the worker that claimed it; stays when the master adopts
  std::uint64_t owner = 0;   // run of the owning worker; 0: the master
  std::int32_t pid = 0;      // written by the kernel at clone (CLONE_PARENT_SETTID)
  std::uint32_t generation = 0;
  std::uint32_t asked = 0;           // it was signalled by us: its status does not count as a crash
  std::uint16_t handler = 0;         // number in the plan of its generation
  std::uint16_t built_in = 0;        // a built-in, whose exit status is an ExitCode
  std::uint32_t source = kNoSource;  // the one that it counts for (worker/ipc/table/source_table.h)
  Peer peer;                         // the client; with a PROXY header, the one that it names
  Peer local;
  Peer real_peer;            // the balancer; AF_UNSPEC: none
  SocketEnd real_local;      // the end that the balancer connected to; AF_UNSPEC: none
  std::uint64_t cookie = 0;  // SO_COOKIE of its socket; 0: nobody asks
  std::int64_t started_ns = 0;
  // serving: when its lifetime is over, or once that was, when it gets SIGKILL; 0: never.
  // ending: when what is left of the group gets SIGKILL.
  std::int64_t deadline_ns = 0;
  std::int64_t idle_timeout_ns = 0;  // for how long nothing may move on its socket; 0: for ever, or its handler looks
  std::int64_t first_byte_ns = 0;    // how soon after its start its client must have sent something; 0: never
  Lifetime lifetime = Lifetime::going_on;
  EndCause cause = EndCause::none;
  std::uint8_t client_left = 0;   // 1: the client was seen to close or to reset the connection
  std::uint8_t without_rate = 0;  // 1: it does not count for max_connection_rate
  std::uint32_t header = 0;       // bytes of a PROXY header that came first
  std::uint32_t device = 0;       // the interface that its socket is bound to; 0: none
};

struct WorkerRecord {
  std::uint64_t run = 0;
  std::int64_t heartbeat_ns = 0;
  std::uint64_t accepted = 0;       // given to a child by this run
  std::uint64_t empty_accepts = 0;  // woken for nothing: another worker was faster
};

struct Counts {
  std::uint32_t serving = 0;
  std::uint32_t used = 0;  // claimed, serving and ending: what max_connections limits
  std::uint64_t completed = 0;
  std::uint64_t crashed = 0;      // a part of completed, as is the next
  std::uint64_t client_gone = 0;  // the client left first, and the handler reported an error for it
  std::uint64_t refused[kRefusals] = {};
};

// A connection's name for people, unique for the daemon's life: (use, listener, slot) in one number, written in hex.
[[nodiscard]] std::uint64_t connection_id(std::uint32_t use, std::uint32_t listener, std::uint32_t slot) noexcept;
struct ConnectionName {
  std::uint32_t use;
  std::uint32_t listener;
  std::uint32_t slot;
};
[[nodiscard]] ConnectionName connection_name(std::uint64_t id) noexcept;
inline constexpr std::uint32_t kMaxListeners = 4096;

}  // namespace bulkhead::ipc
