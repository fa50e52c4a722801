// Owns a descriptor and the loop's watch on it: watched from the start, closed in the right order.
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "worker/loop/loop.h"
#include "worker/sys/fd.h"
#include "worker/sys/result.h"

namespace bulkhead::process {

class WatchedFd {
 public:
  WatchedFd() = default;
  WatchedFd(loop::Loop& loop, sys::Fd fd, std::function<void()> on_readable)
      : fd_(std::move(fd)), poll_(std::make_unique<loop::Poll>(loop, fd_.get(), std::move(on_readable))) {
    poll_->start();
  }
  // The same where the start of a child that needs it can still be refused. On an error nothing is left of it.
  [[nodiscard]] static sys::Result<WatchedFd> attempt(loop::Loop& loop, sys::Fd fd, std::function<void()> on_readable) {
    WatchedFd out;
    out.poll_ = std::make_unique<loop::Poll>(loop, fd.get(), std::move(on_readable));
    out.fd_ = std::move(fd);
    if (const int error = out.poll_->try_watch(); error != 0) return sys::Error{"epoll_ctl", "", error};
    return out;
  }
  WatchedFd(WatchedFd&&) = default;
  WatchedFd& operator=(WatchedFd&& other) noexcept {
    close();
    fd_ = std::move(other.fd_);
    poll_ = std::move(other.poll_);
    return *this;
  }
  ~WatchedFd() = default;  // poll_ goes first
  WatchedFd(const WatchedFd&) = delete;
  WatchedFd& operator=(const WatchedFd&) = delete;

  [[nodiscard]] int get() const noexcept { return fd_.get(); }
  [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(fd_); }
  // May be called from its own callback.
  void close() noexcept {
    poll_.reset();
    fd_.reset();
  }
  void pause() {
    if (poll_) poll_->stop();
  }
  void resume() {
    if (poll_) poll_->start();
  }

 private:
  sys::Fd fd_;
  std::unique_ptr<loop::Poll> poll_;
};

}  // namespace bulkhead::process
