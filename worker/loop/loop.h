// libuv as owners: a loop, a timer, a watcher for a readable descriptor. All on the one thread; callbacks run from
// run() only. Nothing here may be touched after fork: a child leaves the loop behind and never returns into it.
#pragma once

#include <uv.h>

#include <chrono>
#include <functional>
#include <memory>

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

 private:
  uv_loop_t loop_{};
};

class Timer {
 public:
  Timer(Loop& loop, std::function<void()> on_due);
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // Whole milliseconds, rounded up, so that it never fires early. A started timer is started anew.
  void start(std::chrono::nanoseconds delay, std::chrono::nanoseconds repeat = std::chrono::nanoseconds(0));
  void stop();

 private:
  struct State;
  State* state_;  // freed by libuv's close callback
};

// Level-triggered readiness of a descriptor that stays the caller's and must outlive the Poll.
class Poll {
 public:
  Poll(Loop& loop, int fd, std::function<void()> on_readable);
  Poll(Loop& loop, int fd, std::function<void(int events)> on_event);
  ~Poll();
  Poll(const Poll&) = delete;
  Poll& operator=(const Poll&) = delete;

  void start() { watch(UV_READABLE); }
  void watch(int events);  // of UV_READABLE | UV_WRITABLE, from now on; none: stop
  void stop();
  [[nodiscard]] bool active() const noexcept;

 private:
  struct State;
  State* state_;
};

}  // namespace bulkhead::loop
