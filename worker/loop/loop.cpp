#include "worker/loop/loop.h"

#include <fcntl.h>
#include <sys/epoll.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <utility>

namespace bulkhead::loop {

namespace {

constexpr std::chrono::milliseconds kTryAgain(100);
constexpr std::size_t kEventsPerTurn = 64;  // the rest comes first in the next turn

// A failing init means no memory or no descriptor left at start: the process cannot begin.
void require(int status) {
  if (status != 0) std::abort();
}

std::uint64_t milliseconds(std::chrono::nanoseconds span) {
  if (span.count() <= 0) return 0;
  return static_cast<std::uint64_t>((span.count() + 999'999) / 1'000'000);
}

std::uint32_t epoll_events(int events) {
  std::uint32_t out = 0;
  if ((events & UV_READABLE) != 0) out |= EPOLLIN;
  if ((events & UV_WRITABLE) != 0) out |= EPOLLOUT;
  if ((events & UV_DISCONNECT) != 0) out |= EPOLLRDHUP;
  return out;
}

// A hang-up is the end of whatever is waited for.
int poll_events(std::uint32_t events, int wanted) {
  if ((events & EPOLLHUP) != 0) return wanted;
  int out = 0;
  if ((events & EPOLLIN) != 0) out |= UV_READABLE;
  if ((events & EPOLLOUT) != 0) out |= UV_WRITABLE;
  if ((events & EPOLLRDHUP) != 0) out |= UV_DISCONNECT;
  return out;
}

}  // namespace

struct Loop::Watch : std::enable_shared_from_this<Watch> {
  Watch(Loop& in, int descriptor, std::function<void(int)> callback)
      : loop(in), fd(descriptor), on_event(std::move(callback)) {}

  Loop& loop;
  int fd;
  std::function<void(int)> on_event;
  std::uint64_t id = 0;          // in the set; 0: it is not there
  int wanted = 0;                // events; 0: it is stopped
  std::unique_ptr<Timer> again;  // made when the system first had no place for it

  [[nodiscard]] int enter(int events);
  void enter_when_possible(int events);
  void leave();
  void on_ready(std::uint32_t events);
};

Loop::Loop() : set_(epoll_create1(EPOLL_CLOEXEC)) {
  require(uv_loop_init(&loop_));
  require(uv_poll_init(&loop_, &set_poll_, set_.get()));
  set_poll_.data = this;
  require(uv_poll_start(&set_poll_, UV_READABLE,
                        [](uv_poll_t* handle, int, int) { static_cast<Loop*>(handle->data)->dispatch(); }));
  uv_unref(reinterpret_cast<uv_handle_t*>(&set_poll_));
}

Loop::~Loop() {
  uv_close(reinterpret_cast<uv_handle_t*>(&set_poll_), nullptr);
  uv_run(&loop_, UV_RUN_NOWAIT);  // runs the close callbacks of handles that are gone
  uv_loop_close(&loop_);
}

void Loop::run() {
  uv_run(&loop_, UV_RUN_DEFAULT);
}
void Loop::stop() {
  uv_stop(&loop_);
}

// Those that an earlier callback of this turn has stopped are no longer found.
void Loop::dispatch() {
  std::array<epoll_event, kEventsPerTurn> events;
  const int count = epoll_wait(set_.get(), events.data(), static_cast<int>(events.size()), 0);
  for (int i = 0; i < count; ++i) {
    const auto found = watches_.find(events.at(static_cast<std::size_t>(i)).data.u64);
    if (found == watches_.end()) continue;
    const std::shared_ptr<Watch> watch = found->second;
    watch->on_ready(events.at(static_cast<std::size_t>(i)).events);
  }
}

// The loop runs for as long as something is watched.
void Loop::count(bool begins) {
  auto* const handle = reinterpret_cast<uv_handle_t*>(&set_poll_);
  if (begins && watches_.size() == 1) uv_ref(handle);
  if (!begins && watches_.empty()) uv_unref(handle);
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

// Returns 0 or an errno; then it is not in the set.
int Loop::Watch::enter(int events) {
  if (again) again->stop();
  epoll_event place{};
  place.events = epoll_events(events);
  place.data.u64 = id != 0 ? id : loop.last_ + 1;
  if (epoll_ctl(loop.set_.get(), id != 0 ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &place) != 0) {
    const int error = errno;
    leave();
    return error;
  }
  wanted = events;
  if (id != 0) return 0;
  id = ++loop.last_;
  loop.watches_.emplace(id, shared_from_this());
  loop.count(true);
  return 0;
}

void Loop::Watch::enter_when_possible(int events) {
  const int error = enter(events);
  if (error == 0) return;
  require(error == ENOMEM || error == ENOSPC ? 0 : error);  // otherwise a mistake of ours: no such descriptor
  wanted = events;
  if (!again) again = std::make_unique<Timer>(loop, [this] { enter_when_possible(wanted); });
  again->start(kTryAgain);
}

void Loop::Watch::leave() {
  if (again) again->stop();
  wanted = 0;
  if (id == 0) return;
  epoll_ctl(loop.set_.get(), EPOLL_CTL_DEL, fd, nullptr);
  loop.watches_.erase(std::exchange(id, 0));
  loop.count(false);
}

void Loop::Watch::on_ready(std::uint32_t events) {
  const int news = poll_events(events, wanted);
  if ((events & EPOLLERR) == 0) return on_event(news);
  // The reader gets the error from its own call, once: it must not be called again and again if it keeps the
  // descriptor.
  leave();
  on_event(UV_READABLE);
}

Poll::Poll(Loop& loop, int fd, std::function<void()> on_readable)
    : Poll(loop, fd, [callback = std::move(on_readable)](int) { callback(); }) {}

Poll::Poll(Loop& loop, int fd, std::function<void(int)> on_event)
    : watch_(std::make_shared<Loop::Watch>(loop, fd, std::move(on_event))) {
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

Poll::~Poll() {
  watch_->leave();
}

int Poll::try_watch(int events) {
  if (events != 0) return watch_->enter(events);
  stop();
  return 0;
}

void Poll::watch(int events) {
  if (events != 0) return watch_->enter_when_possible(events);
  stop();
}

void Poll::stop() {
  watch_->leave();
}

}  // namespace bulkhead::loop
