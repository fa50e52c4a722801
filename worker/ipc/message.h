// The whole conversation between the master and one worker, over one SOCK_SEQPACKET pair (unix(7)): fixed structs of at
// most 256 bytes, one a packet. Descriptors travel only downwards (SCM_RIGHTS). There is never a message per
// connection. The master treats what comes up as hostile: a packet of another size, an unknown type, a value out of
// range costs the worker that sent it, and nobody else.
#pragma once

#include <cstdint>

namespace bulkhead::ipc {

inline constexpr std::uint32_t kProtocolVersion = 1;

// Descriptor numbers in a freshly exec'd worker. Listening sockets follow from kFirstSocket on, as many as the plan
// says, then the drain notice where it has one.
enum WorkerFd : int {
  kLogFd = 2,
  kChannelFd = 3,
  kPlanFd = 4,          // sealed memfd; closed once it is mapped
  kTableFd = 5,         // closed once it is mapped
  kBellFd = 6,          // eventfd, rung when a slot is freed while somebody waits for one
  kHandlerErrorFd = 7,  // what a handler program gets as its descriptor 2
  kErrorReadFd = 8,     // the other end of it, where the worker reads it; else of no use, like the one before
  kFirstSocketFd = 9
};

enum class MessageType : std::uint32_t {
  // down
  retire = 1,  // stop accepting and leave; your children will be adopted
  drain,       // empty the backlog, close the listening sockets, answer drained; then go on serving
  suspend,     // stop accepting, keep the sockets open and queueing
  resume,      //
  log,         // carries a descriptor: write there from now on (slot 0), as the other fields say; or give it to handler
               // programs as 2 (slot 1)
  signal,      // send `signal` to the process of slot/use, or to all your connections (slot == kAllSlots)
  kick,        // another worker died or a limit changed: look at the sockets and the table again
  // up
  hello = 64,  // protocol version and build
  ready,       // accepting
  fail,        // could not start: stage, errno, text
  retiring,    // leaving on purpose: `reason` says why, `count` as for drained
  drained,     // its sockets are closed; `count` connections in hand have no child yet, told again when that is 0
  signalled,   // answer to signal: how many processes got it
  crash,       // one connection's child ended abnormally
  paused,      // not accepting: reason and errno
  resumed      //
};

inline constexpr std::uint32_t kAllSlots = 0xffffffff;
// Which moments of a connection are logged.
inline constexpr std::int32_t kLogStart = 1;
inline constexpr std::int32_t kLogEnd = 2;

enum class RetireReason : std::uint32_t { asked = 1, terminated };
enum class PauseReason : std::uint32_t { full = 1, accept_error, fork_error, rate, headers };

// Where a start broke off. The text table in stage.cpp is checked against the enum.
enum class Stage : std::uint32_t {
  none,
  session,
  descriptors,
  oom_score,
  io_priority,
  priority,
  limits,
  root_directory,
  directory,
  privileges,
  groups,
  group,
  user,
  exec,
  plan,
  table,
  module,
  module_init,
  loop,
  count_
};
[[nodiscard]] const char* stage_text(Stage stage) noexcept;

// Where and why; true when something failed.
struct Failure {
  Stage stage = Stage::none;
  int error = 0;  // errno
  explicit operator bool() const noexcept { return stage != Stage::none; }
};

struct Message {
  MessageType type{};
  std::uint32_t slot = 0;
  std::uint32_t use = 0;      // log: facility
  std::int32_t signal = 0;    // signal, crash (the terminating signal or 0); log: kLogStart and kLogEnd
  std::uint32_t version = 0;  // hello; log: transport
  std::uint32_t reason = 0;   // RetireReason, PauseReason, Stage; log: format
  std::int32_t error = 0;     // errno
  std::int32_t status = 0;    // crash: exit status; log: level
  std::int32_t pid = 0;       // crash
  std::uint32_t core = 0;     // crash: a core was dumped
  std::uint64_t count = 0;    // signalled; crash: how many more went unreported since the last
  std::int64_t age_ns = 0;    // crash
  std::int64_t user_us = 0;   // crash: rusage
  std::int64_t system_us = 0;
  std::int64_t max_rss_kb = 0;
  char text[160] = {};  // hello: BULKHEAD_VERSION; fail: what errno does not say, or nothing; log: identity
};
static_assert(sizeof(Message) <= 256);

}  // namespace bulkhead::ipc
