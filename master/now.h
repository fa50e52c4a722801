// The rules' clock as the edge reads it: steady, in nanoseconds. supervision/ is told the time and never asks.
#pragma once

#include <chrono>

#include "master/supervision/child_spec.h"

namespace bulkhead {

[[nodiscard]] inline supervision::Instant now() {
  return supervision::Instant(std::chrono::steady_clock::now());
}

}  // namespace bulkhead
