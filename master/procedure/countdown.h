// Waits for several answers with one callback.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <utility>

namespace bulkhead::procedure {

// To be called `count` times; the last time calls `all_done`.
[[nodiscard]] inline std::function<void()> countdown(std::size_t count, std::function<void()> all_done) {
  return [left = std::make_shared<std::size_t>(count), all_done = std::move(all_done)] {
    if (--*left == 0) all_done();
  };
}

}  // namespace bulkhead::procedure
