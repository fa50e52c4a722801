// libuv as owners: a loop, a timer; and a watcher for a readable descriptor. All on the one thread; callbacks run from
// run() only. Nothing here may be touched after fork: a child leaves the loop behind and never returns into it.
//
// Watched descriptors stand in an epoll set of the loop's own, which libuv watches. libuv's own set would not do: the
// system may refuse a place in it at any time (ENOMEM; ENOSPC beyond /proc/sys/fs/epoll/max_user_watches, see
// epoll(7)), and libuv aborts the process then.
//
// Errors: without memory or descriptors for a Loop the process ends, as it cannot begin. Timers need nothing of the
// system.
#pragma once

#include <uv.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>

#include "worker/sys/fd.h"

namespace bulkhead::loop {

class Loop {
 public:
  Loop();
  ~Loop();  // every Timer and Poll must be gone
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  void run();   // until stop() or until nothing is left to wait for
  void stop();  // from a callback
  [[nodiscard]] uv_loop_t* raw() noexcept { return &loop_; }

  struct Watch;  // a Poll's place in the set

 private:
  void dispatch();
  void count(bool begins);

  uv_loop_t loop_{};
  sys::Fd set_;                                                        // epoll
  uv_poll_t set_poll_{};                                               // libuv's watch on it
  std::unordered_map<std::uint64_t, std::shared_ptr<Watch>> watches_;  // what stands in it, by data.u64
  std::uint64_t last_ = 0;
};

class Timer {
 public:
  Timer(Loop& loop, std::function<void()> on_due);
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // Whole milliseconds, rounded up, so that it never fires early. A started timer is started again.
  void start(std::chrono::nanoseconds delay, std::chrono::nanoseconds repeat = std::chrono::nanoseconds(0));
  void stop();

 private:
  struct State;
  State* state_;  // freed by libuv's close callback
};

// Level-triggered readiness of a descriptor that stays the caller's and must outlive the Poll. It becomes nonblocking.
class Poll {
 public:
  // Takes nothing of the system yet.
  Poll(Loop& loop, int fd, std::function<void()> on_readable);
  Poll(Loop& loop, int fd, std::function<void(int events)> on_event);
  ~Poll();
  Poll(const Poll&) = delete;
  Poll& operator=(const Poll&) = delete;

  // Watches for UV_READABLE | UV_WRITABLE | UV_DISCONNECT from now on; for none: stops. Returns 0, or ENOMEM or ENOSPC
  // if the system has no place for it; then nothing is watched. For what can be refused: a new client, a new child.
  [[nodiscard]] int try_watch(int events = UV_READABLE);
  // The same for what cannot be refused: without a place it tries again every 100 ms.
  void watch(int events);
  void start() { watch(UV_READABLE); }
  void stop();

 private:
  std::shared_ptr<Loop::Watch> watch_;  // shared with the loop, so that it may go from within its own callback
};

}  // namespace bulkhead::loop
