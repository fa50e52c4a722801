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

  void operator()(std::function<void()> deed) {
    deeds_.push_back(std::move(deed));
    timer_.start(std::chrono::nanoseconds(0));
  }
  [[nodiscard]] bool is_empty() const noexcept { return deeds_.empty(); }
  // Called by the loop, or by a test in its place.
  void turn() {
    for (const auto& deed : std::exchange(deeds_, {})) deed();
  }

 private:
  std::deque<std::function<void()>> deeds_;
  loop::Timer timer_;
};

}  // namespace bulkhead::running
