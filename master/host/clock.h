// The clock of the supervision rules: steady, in nanoseconds. supervision/ gets the time with each event and never
// reads a clock itself. Code that is tested without waiting takes a Clock instead of calling now().
#pragma once

#include <chrono>
#include <functional>

#include "master/supervision/child_spec.h"

namespace bulkhead {

[[nodiscard]] inline supervision::Instant now() {
  return supervision::Instant(std::chrono::steady_clock::now());
}

using Clock = std::function<supervision::Instant()>;

}  // namespace bulkhead
