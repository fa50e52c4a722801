// The whole conversation between the master and one worker, over one SOCK_SEQPACKET pair (unix(7)): one small struct
// for each message, one message a packet (worker/ipc/packet.h). Descriptors travel only downwards (SCM_RIGHTS). There
// is never a message per connection. The master treats what comes up as hostile: a packet of another size, an unknown
// type, a value out of range costs the worker that sent it, and no other.
#pragma once

#include <cstdint>
#include <string_view>
#include <variant>

#include "worker/ipc/slot.h"
#include "worker/ipc/source_key.h"
#include "worker/log/log.h"
#include "worker/sys/enum_words.h"

namespace bulkhead::ipc {

// Another one whenever the bytes of any message, of the plan or of the connection table change.
inline constexpr std::uint32_t kProtocolVersion = 8;

// Descriptor numbers in a freshly exec'd worker. Listening sockets follow from kFirstSocket on, as many as the plan
// says, then the drain notice where it has one.
enum WorkerFd : int {
  kLogFd = 2,  // a socket to the master, which passes the worker's lines on, or one of its own to a log daemon
  kChannelFd = 3,
  kPlanFd = 4,          // sealed memfd; closed once it is mapped
  kTableFd = 5,         // closed once it is mapped
  kBellFd = 6,          // eventfd, rung when a slot is freed while a worker waits for one
  kHandlerErrorFd = 7,  // what a handler program gets as its descriptor 2
  kErrorReadFd = 8,     // the other end of it, if the worker reads it; else unused, like the one before
  kFirstSocketFd = 9
};

// The first word of a packet.
enum class MessageType : std::uint32_t {
  // down
  retire = 1,
  drain,
  suspend,
  resume,
  log,
  signal,
  kick,
  limits,
  collect,
  forgive,
  socket,
  end,
  // up
  hello = 64,
  ready,
  fail,
  retiring,
  drained,
  signalled,
  crash,
  paused,
  resumed,
  done,
  wanted,
  worn
};

enum class RetireReason : std::uint32_t { asked, terminated, count_ };

enum class PauseReason : std::uint32_t { full, accept_error, fork_error, rate, headers, socket, total, places, count_ };
inline constexpr sys::EnumWords<PauseReason> kPauseWords{"max_connections",        "accept_error",  "fork_error",
                                                         "max_connection_rate",    "proxy_headers", "listening_socket",
                                                         "daemon_max_connections", "places"};

// The limit of the configuration that a worker has reached.
enum class WornReason : std::uint32_t { max_accepts, max_age, max_crashes, count_ };
inline constexpr sys::EnumWords<WornReason> kWornWords{"max_accepts", "max_age", "max_crashes"};

// The step at which a start failed.
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
  pre_start_exec,
  pre_start,  // `error` is a status of wait(2)
  sandbox,
  namespaces,
  mounts,
  count_
};
// Each can follow "failed while".
inline constexpr sys::EnumWords<Stage> kStageWords{"starting",
                                                   "making a session",
                                                   "placing descriptors",
                                                   "setting oom_score_adj",
                                                   "setting the I/O priority",
                                                   "setting the priority",
                                                   "setting resource limits",
                                                   "changing the root directory",
                                                   "changing directory",
                                                   "giving up privileges",
                                                   "setting supplementary groups",
                                                   "setting the group",
                                                   "setting the user",
                                                   "executing the program",
                                                   "reading the plan",
                                                   "working with the connection table",
                                                   "loading the handler module",
                                                   "initialising the handler module",
                                                   "setting up its loop",
                                                   "executing the pre_start",
                                                   "running the pre_start",
                                                   "building the sandbox",
                                                   "making its namespaces",
                                                   "mounting what is private"};
[[nodiscard]] constexpr std::string_view stage_text(Stage stage) noexcept {
  return kStageWords.text(stage, "starting");
}

// The failed step and the reason; true if a step failed.
struct Failure {
  Stage stage = Stage::none;
  int error = 0;  // errno
  explicit operator bool() const noexcept { return stage != Stage::none; }
};

inline constexpr std::uint32_t kAllSlots = 0xffffffff;
inline constexpr std::size_t kTextSize = 160;  // a message's text, with its NUL
// Which moments of a connection are logged.
inline constexpr std::uint8_t kLogStart = 1;
inline constexpr std::uint8_t kLogEnd = 2;
// The use of a new log descriptor: the worker's own lines, or descriptor 2 of handler programs.
enum class LogUse : std::uint8_t { lines, handlers, count_ };

// Down, from the master to a worker.

// Stop accepting and leave; your children will be adopted.
struct Retire {
  static constexpr auto kType = MessageType::retire;
};
// Empty the backlog, close the listening sockets, answer Drained; then continue to serve.
struct Drain {
  static constexpr auto kType = MessageType::drain;
};
// Stop accepting, keep the sockets open and queueing.
struct Suspend {
  static constexpr auto kType = MessageType::suspend;
};
struct Resume {
  static constexpr auto kType = MessageType::resume;
};
// Another worker died or a limit changed: look at the sockets and the table again.
struct Kick {
  static constexpr auto kType = MessageType::kick;
};
// Carries a descriptor that is to be written to from now on; without one, the present one stays. The other fields say
// how the worker writes its lines.
struct Log {
  static constexpr auto kType = MessageType::log;
  LogUse use = LogUse::lines;
  log::Format format = log::Format::text;
  log::Level level = log::Level::info;
  log::Transport transport = log::Transport::stream;
  log::Addresses addresses = log::Addresses::full;
  std::uint8_t moments = 0;  // kLogStart, kLogEnd
  std::uint16_t facility = 0;
  char identity[kTextSize] = {};

  [[nodiscard]] constexpr bool in_range() const noexcept {
    return use < LogUse::count_ && format <= log::Format::json && level <= log::Level::error &&
           transport <= log::Transport::journald && addresses <= log::Addresses::none &&
           moments <= (kLogStart | kLogEnd);
  }
};
// Send `signal` to the process of this slot and use, or, where the slot is kAllSlots, to all your connections. The
// answer is Signalled.
struct Signal {
  static constexpr auto kType = MessageType::signal;
  std::uint32_t slot = 0;
  std::uint32_t use = 0;
  std::int32_t signal = 0;
};
// End the connection of this slot and use for this reason: your stop_signal, later SIGKILL. There is no answer.
struct End {
  static constexpr auto kType = MessageType::end;
  std::uint32_t slot = 0;
  std::uint32_t use = 0;
  EndCause cause = EndCause::none;
  std::uint16_t reserved = 0;

  [[nodiscard]] constexpr bool in_range() const noexcept { return cause < EndCause::count_; }
};
// Carries a descriptor: the listening socket with this number, in place of the one that the worker has. That one no
// longer gets new connections; those in its queue are accepted first.
struct Socket {
  static constexpr auto kType = MessageType::socket;
  std::uint32_t number = 0;
};
// Other limits from now on; the answer is Done.
struct Limits {
  static constexpr auto kType = MessageType::limits;
  Shape limits;
};
// Carry out what the master has written beside the slots from `first` on, before `end` (worker/ipc/master_word.h).
// Without any: a worker has died, repair the table. The answer is Done.
struct Collect {
  static constexpr auto kType = MessageType::collect;
  std::uint32_t first = 0;
  std::uint32_t end = 0;
};
// Forget the penalties of all sources within `prefix`. The answer is Done, with how many there were.
struct Forgive {
  static constexpr auto kType = MessageType::forgive;
  SourceKey prefix;
};

// Up, from a worker to the master.

// The first message. A packet of every version of the protocol begins with this type word and then the version, so that
// the master can name what it does not speak; the rest may differ. (Version 1 has a 0 there.)
struct Hello {
  static constexpr auto kType = MessageType::hello;
  std::uint32_t version = 0;
  char build[kTextSize] = {};  // BULKHEAD_VERSION
};
// Accepting.
struct Ready {
  static constexpr auto kType = MessageType::ready;
};
// Could not start. Also what a child of the master reports between fork and exec.
struct Fail {
  static constexpr auto kType = MessageType::fail;
  Stage stage = Stage::none;
  std::int32_t error = 0;     // errno
  char text[kTextSize] = {};  // what errno does not say, or nothing

  [[nodiscard]] constexpr bool in_range() const noexcept { return stage < Stage::count_; }
};
// Leaving on purpose.
struct Retiring {
  static constexpr auto kType = MessageType::retiring;
  RetireReason reason = RetireReason::asked;
  std::uint32_t count = 0;  // as in Drained

  [[nodiscard]] constexpr bool in_range() const noexcept { return reason < RetireReason::count_; }
};
// Its sockets are closed; `count` connections in hand have no child yet. Sent again when that is 0.
struct Drained {
  static constexpr auto kType = MessageType::drained;
  std::uint32_t count = 0;
};
// The answer to Signal: how many processes got it.
struct Signalled {
  static constexpr auto kType = MessageType::signalled;
  std::uint32_t count = 0;
};
// The child of a connection ended abnormally, or with an error because its client had left.
struct Crash {
  static constexpr auto kType = MessageType::crash;
  std::uint32_t slot = 0;
  std::uint32_t use = 0;
  std::int32_t pid = 0;
  std::int32_t signal = 0;        // that terminated it, or 0
  std::int32_t status = 0;        // its exit status, or 0
  std::uint32_t core = 0;         // 1: a core was dumped
  std::uint32_t client_gone = 0;  // 1: the client left first
  std::uint32_t reserved = 0;
  std::uint64_t omitted = 0;  // crashes that were not reported since the last
  std::int64_t age_ns = 0;
  std::int64_t user_us = 0;  // rusage, and the next two
  std::int64_t system_us = 0;
  std::int64_t max_rss_kb = 0;
};
// The worker does not accept for a while.
struct Paused {
  static constexpr auto kType = MessageType::paused;
  PauseReason reason = PauseReason::full;
  std::int32_t error = 0;  // errno, or 0

  [[nodiscard]] constexpr bool in_range() const noexcept { return reason < PauseReason::count_; }
};
struct Resumed {
  static constexpr auto kType = MessageType::resumed;
};
// The answer to Limits, Collect or Forgive: one of them is under way at a time.
struct Done {
  static constexpr auto kType = MessageType::done;
  MessageType what = MessageType::collect;
  std::uint32_t count = 0;

  [[nodiscard]] constexpr bool in_range() const noexcept {
    return what == MessageType::limits || what == MessageType::collect || what == MessageType::forgive;
  }
};

// Clients wait, and the listener's lease leaves no place for them (lease.h): may it have more? The answer is no
// message: the master writes another lease, or that no places are left, and rings the bell.
struct Wanted {
  static constexpr auto kType = MessageType::wanted;
};

// It has served enough, and asks to be replaced; again each second until it is told to retire. The answer is Retire, or
// nothing.
struct Worn {
  static constexpr auto kType = MessageType::worn;
  WornReason reason = WornReason::max_accepts;

  [[nodiscard]] constexpr bool in_range() const noexcept { return reason < WornReason::count_; }
};

using Down = std::variant<Retire, Drain, Suspend, Resume, Log, Signal, Kick, Limits, Collect, Forgive, Socket, End>;
using Up = std::variant<Hello, Ready, Fail, Retiring, Drained, Signalled, Crash, Paused, Resumed, Done, Wanted, Worn>;

}  // namespace bulkhead::ipc
