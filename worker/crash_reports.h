// Reports crashes of connections, and ends with an error after the client had left, to the master, which publishes them
// as events. At most so many a second; the next report says how many were left out.
#pragma once

#include <sys/resource.h>

#include <cstdint>

#include "worker/ipc/table/table.h"

namespace bulkhead::worker {

class CrashReports {
 public:
  explicit CrashReports(int channel) : channel_(channel) {}

  // `status` and `usage` as wait4(2) returned them for the connection of that slot.
  void report(std::uint32_t index, const ipc::Slot& slot, int status, ipc::EndCount count, const rusage& usage,
              std::int64_t now_ns) noexcept;

 private:
  static constexpr std::uint32_t kPerSecond = 100;

  [[nodiscard]] bool allow(std::int64_t now_ns) noexcept;

  int channel_;
  std::int64_t second_began_ns_ = 0;
  std::uint32_t sent_ = 0;  // in that second
  std::uint64_t omitted_ = 0;
};

}  // namespace bulkhead::worker
