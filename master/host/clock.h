// The rules' clock as the edge reads it: steady, in nanoseconds. supervision/ is told the time and never asks; whatever
// is tested without waiting takes a Clock instead of calling now().
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
