#include "worker/loop/loop.h"

#include <cstdlib>
#include <utility>

namespace bulkhead::loop {

namespace {

// A failing init means no memory or no descriptor left at start: the process cannot continue.
void require(int status) {
  if (status != 0) std::abort();
}

std::uint64_t milliseconds(std::chrono::nanoseconds span) {
  if (span.count() <= 0) return 0;
  return static_cast<std::uint64_t>((span.count() + 999'999) / 1'000'000);
}

}  // namespace

Loop::Loop() {
  require(uv_loop_init(&loop_));
}

Loop::~Loop() {
  uv_run(&loop_, UV_RUN_NOWAIT);  // runs the close callbacks of handles that are gone
  uv_loop_close(&loop_);
}

void Loop::run() {
  uv_run(&loop_, UV_RUN_DEFAULT);
}
void Loop::stop() {
  uv_stop(&loop_);
}

struct Timer::State {
  uv_timer_t handle{};
  std::function<void()> on_due;
};

Timer::Timer(Loop& loop, std::function<void()> on_due) : state_(new State{{}, std::move(on_due)}) {
  require(uv_timer_init(loop.raw(), &state_->handle));
  state_->handle.data = state_;
}

Timer::~Timer() {
  uv_close(reinterpret_cast<uv_handle_t*>(&state_->handle),
           [](uv_handle_t* handle) { delete static_cast<State*>(handle->data); });
}

void Timer::start(std::chrono::nanoseconds delay, std::chrono::nanoseconds repeat) {
  // libuv counts from the start of the loop's turn; a long turn must not make the timer fire early.
  uv_update_time(state_->handle.loop);
  uv_timer_start(
      &state_->handle, [](uv_timer_t* handle) { static_cast<State*>(handle->data)->on_due(); }, milliseconds(delay),
      milliseconds(repeat));
}

void Timer::stop() {
  uv_timer_stop(&state_->handle);
}

struct Poll::State {
  uv_poll_t handle{};
  std::function<void(int)> on_event;
};

Poll::Poll(Loop& loop, int fd, std::function<void()> on_readable)
    : Poll(loop, fd, [callback = std::move(on_readable)](int) { callback(); }) {}

Poll::Poll(Loop& loop, int fd, std::function<void(int)> on_event) : state_(new State{{}, std::move(on_event)}) {
  require(uv_poll_init(loop.raw(), &state_->handle, fd));
  state_->handle.data = state_;
}

Poll::~Poll() {
  uv_poll_stop(&state_->handle);
  uv_close(reinterpret_cast<uv_handle_t*>(&state_->handle),
           [](uv_handle_t* handle) { delete static_cast<State*>(handle->data); });
}

namespace {

template <class State>
void call(uv_poll_t* handle, int status, int events) {
  // An error on the descriptor (EBADF, EPOLLERR) is left to the reader, which gets it from its own call.
  static_cast<State*>(handle->data)->on_event(status < 0 ? UV_READABLE : events);
}

}  // namespace

void Poll::watch(int events) {
  uv_poll_start(&state_->handle, events, call<State>);  // with no events it stops
}

void Poll::stop() {
  uv_poll_stop(&state_->handle);
}
bool Poll::active() const noexcept {
  return uv_is_active(reinterpret_cast<const uv_handle_t*>(&state_->handle)) != 0;
}

}  // namespace bulkhead::loop
