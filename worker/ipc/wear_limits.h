// After what a worker asks to be replaced (worker/wear.h): its own limits, which the master has drawn for it.
#pragma once

#include <cstdint>

namespace bulkhead::ipc {

struct WearLimits {
  std::uint64_t accepts = 0;  // 0: no limit; the same in the next two
  std::int64_t age_ns = 0;
  std::uint32_t crashes = 0;
  std::uint32_t reserved = 0;
  std::int64_t crashes_within_ns = 0;
};

}  // namespace bulkhead::ipc
