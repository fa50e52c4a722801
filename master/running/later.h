// Runs functions at the next turn of the loop, in order: after every function that is on the stack now has returned.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <utility>

#include "worker/loop/loop.h"

namespace bulkhead::running {

class Later {
 public:
  explicit Later(loop::Loop& loop) : timer_(loop, [this] { turn(); }) {}

  void operator()(std::function<void()> action) {
    actions_.push_back(std::move(action));
    timer_.start(std::chrono::nanoseconds(0));
  }
  [[nodiscard]] bool is_empty() const noexcept { return actions_.empty(); }
  // Called by the loop, or by a test in its place.
  void turn() {
    for (const auto& action : std::exchange(actions_, {})) action();
  }

 private:
  std::deque<std::function<void()>> actions_;
  loop::Timer timer_;
};

}  // namespace bulkhead::running
