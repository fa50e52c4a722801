// A worker's configuration, compiled by the master: every name resolved, every default filled in, nothing left to look
// up. It travels as a sealed memfd; the worker maps it read-only, checks it once and keeps pointers into it.
// Fixed-layout numbers, then a pool of NUL-terminated strings that the numbers point into by offset.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "worker/admission/source_rules.h"
#include "worker/ipc/attention.h"
#include "worker/ipc/confinement.h"
#include "worker/ipc/exit_statuses.h"
#include "worker/ipc/message.h"
#include "worker/ipc/peer.h"
#include "worker/ipc/slot.h"
#include "worker/ipc/wear_limits.h"
#include "worker/sys/fd.h"
#include "worker/sys/result.h"

namespace bulkhead::ipc {

inline constexpr std::uint32_t kMaxSockets = 64;
inline constexpr std::uint32_t kMaxHandlers = 64;

enum class HandlerKind : std::uint32_t { built_in, exec, module, count_ };
enum class HandlerStyle : std::uint32_t { ucspi, inetd, listen_fds, count_ };

enum class OnFull : std::uint32_t { queue, close, message, reset, drop_oldest_idle };

struct PlanStrings {
  std::uint32_t offset = 0;  // of the first; the others follow, each with its NUL
  std::uint32_t count = 0;
};

// One way to serve a connection. A connection's handler is decided when it is admitted: the listener's own is number 0,
// the others are those of its rules. The number is in the connection's slot.
struct PlanHandler {
  HandlerKind kind = HandlerKind::built_in;
  HandlerStyle style = HandlerStyle::ucspi;  // exec
  std::uint32_t socket_as_error = 0;         // exec, module: descriptor 2 is the connection too
  std::uint32_t drain_notice = 0;            // exec: it inherits the drain notice
  PlanStrings name;  // for titles and lists: "echo", or the base name of the program or library; names the built-in
  PlanStrings argv;  // exec: the path of the program, then its arguments, the first being its name; module: the path of
                     // the library, its options as JSON text
  PlanStrings environment;  // exec, module: NAME=value, the same for every connection
};

// Values of a fixed size, one after the other, at a multiple of 8.
struct PlanArray {
  std::uint32_t offset = 0;
  std::uint32_t bytes = 0;
};

// An admission::PrefixMap: two arrays of admission::Range.
struct PlanPrefixes {
  PlanArray v4;
  PlanArray v6;
  std::uint32_t otherwise = 0;
};

// Which PROXY headers a listener expects, from which senders, and for how many it waits at a time.
struct PlanProxy {
  std::uint32_t versions = 0;  // admission::ProxyVersions; 0: none, the connection's own ends hold
  std::uint32_t room = 0;      // headers in progress in this worker
  std::int64_t timeout_ns = 0;
  PlanPrefixes senders;  // as admission::Access
};

// Limits of a connection in time; 0: none.
struct PlanTimes {
  std::int64_t max_lifetime_ns = 0;
  std::int64_t idle_timeout_ns = 0;  // as it is for the handler: its own, or the worker's
  std::int64_t first_byte_ns = 0;
};

// The changes that a rule makes for its clients.
struct PlanRule {
  std::uint32_t handler = 0;
  std::uint32_t max_connections = 0;  // of each source; 0: the listener's own limit
  std::uint32_t own_rate = 0;         // 1: `rate` holds for each source, not the listener's
  std::uint32_t without_rate = 0;     // 1: max_connection_rate is not asked
  admission::Rate rate;
  PlanTimes times;  // all of them, the listener's where the rule has none
};

// The part of the sandbox that does not fit into a Confinement.
struct PlanSandbox {
  PlanArray of_worker;  // of sock_filter: what the worker forbids itself and its children
  PlanArray of_child;   // and what each connection forbids itself besides
  PlanStrings read;     // paths
  PlanStrings write;
  PlanStrings execute;
  std::uint32_t others_readable = 0;
  PlanArray connect;  // of uint16_t: ports
  PlanArray bind;
};

struct PlanHeader {
  std::uint32_t magic = 0;
  std::uint32_t protocol = 0;
  std::uint32_t size = 0;  // of the whole plan, bytes
  std::uint32_t listener = 0;
  std::uint32_t worker = 0;  // index among the listener's workers
  std::uint32_t generation = 0;
  std::uint64_t run = 0;
  std::uint32_t sockets = 0;
  std::uint32_t handler_count = 0;  // at least 1
  std::uint32_t log_format = 0;     // log::Format
  std::uint32_t log_level = 0;      // log::Level
  std::uint32_t log_transport = 0;  // log::Transport
  std::uint32_t log_facility = 0;
  std::uint32_t log_addresses = 0;  // log::Addresses
  std::uint32_t log_connection_start = 0;
  std::uint32_t log_connection_end = 1;
  std::uint32_t count_bytes = 0;  // end lines have the bytes of the connection
  std::uint32_t suspended = 0;    // start without accepting
  std::uint32_t has_drain = 0;    // a descriptor follows the sockets: the drain notice of bulkhead/handler.h
  Confinement confinement;
  PlanSandbox sandbox;
  std::uint32_t captures_errors = 0;               // programs' standard error is read by the worker, and logged
  std::uint32_t log_rate_limit = 0;                // lines of it a second, for each connection; 0: unlimited
  std::uint32_t kill_group = 1;                    // 0: connections are signalled without their groups
  std::int64_t shutdown_ns = 0;                    // between TERM and KILL for a connection's group
  std::uint32_t socket_numbers[kMaxSockets] = {};  // as in ipc::Socket
  Peer local[kMaxSockets];                         // the bound address of each socket
  std::uint32_t wildcard[kMaxSockets] = {};        // bound to any address: ask each connection for its own
  PlanStrings listener_path;                       // "root/echo"
  PlanStrings title;                               // "worker echo/2"
  PlanStrings root;                                // of the worker and its children; "": the daemon's
  PlanStrings directory;                           // in it
  PlanStrings left_out;                            // names of variables that no program gets
  PlanStrings log_identity;
  PlanStrings socket_names;  // per socket: the path of a Unix socket, else ""
  PlanHandler handlers[kMaxHandlers];

  PlanTimes times;
  std::uint32_t watches = 0;  // 1: connections are looked at, or have lifetimes of their own (connection_watch.h)
  std::int32_t stop_signal = 0;
  OnClientGone on_client_gone = OnClientGone::leave;
  ExitStatuses normal_exit;  // of programs and libraries
  OnFull on_full = OnFull::queue;
  PlanPrefixes access;  // allow and deny, as admission::Access
  PlanPrefixes rules;   // as admission::rule_value()
  PlanArray rule_list;  // of PlanRule, by their numbers
  PlanProxy proxy;
  PlanStrings banner;              // sent to admitted clients
  PlanStrings banner_fail;         // and to refused ones
  std::uint32_t asks_sources = 0;  // else the next two are not looked at
  PlanPrefixes exempt;             // from penalties: value 1
  admission::SourceRules sources;
  std::uint32_t table_room = 0;       // slots of the connection table
  std::uint32_t table_first_use = 0;  // TableRoom::first_use
  Shape limits;                       // in force when the worker was started
  WearLimits wear;
  PlanStrings refusal_words;  // one per Refusal: the key to blame and its value, "max_connections is 1024"
};

// The descriptor of the drain notice, if the plan has one: it follows the sockets.
[[nodiscard]] constexpr int drain_fd(const PlanHeader& header) noexcept {
  return kFirstSocketFd + static_cast<int>(header.sockets);
}

// Programs are executed by copies of the worker, which need what they read.
[[nodiscard]] constexpr bool copies_memory(const PlanHeader& header) noexcept {
  return (header.confinement.spaces & kPrivatePids) != 0;
}

// Builds a plan. The strings are copied; `header` is the caller's to fill except for magic, protocol and size.
class PlanBuilder {
 public:
  PlanHeader header;
  [[nodiscard]] PlanStrings strings(const std::vector<std::string>& values);
  template <class T>
  [[nodiscard]] PlanArray array(std::span<const T> values) {
    static_assert(std::is_trivially_copyable_v<T>);
    return append(values.data(), values.size_bytes());
  }
  [[nodiscard]] sys::Result<sys::Fd> seal();

 private:
  [[nodiscard]] PlanArray append(const void* bytes, std::size_t size);
  std::string pool_;
};

// A mapped plan. The mapping lives as long as the process; children of fork have it only where copies_memory().
class Plan {
 public:
  [[nodiscard]] static sys::Result<Plan> map(int memfd);
  [[nodiscard]] const PlanHeader& header() const noexcept { return *header_; }
  [[nodiscard]] const PlanHandler& handler(std::uint32_t index) const noexcept { return header_->handlers[index]; }
  [[nodiscard]] const char* string(PlanStrings strings) const noexcept;  // the first one
  // The values of an array; whole ones only.
  template <class T>
  [[nodiscard]] std::span<const T> array(PlanArray array) const noexcept {
    static_assert(std::is_trivially_copyable_v<T> && alignof(T) <= 8);
    const auto* first = reinterpret_cast<const char*>(header_) + array.offset;
    return {reinterpret_cast<const T*>(first), array.bytes / sizeof(T)};
  }
  // Pointers to each string and a closing null pointer, as execve() wants them.
  [[nodiscard]] std::vector<const char*> vector(PlanStrings strings) const;

 private:
  [[nodiscard]] bool holds(PlanStrings strings) const noexcept;
  [[nodiscard]] bool holds(const PlanHandler& handler) const noexcept;
  [[nodiscard]] bool holds(PlanArray array) const noexcept;
  const PlanHeader* header_ = nullptr;
};

}  // namespace bulkhead::ipc
