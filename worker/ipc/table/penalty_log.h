// The penalty for the end of a connection, and the log line about it. A worker writes it, also for a connection that
// the master has adopted.
#pragma once

#include <string_view>

#include "worker/admission/penalties.h"
#include "worker/ipc/connection_log.h"
#include "worker/ipc/table/source_table.h"
#include "worker/log/log.h"

namespace bulkhead::ipc {

[[nodiscard]] admission::Ending ending_of(const Ended& ended) noexcept;

// Logs that a source is refused from now on, or that its penalty had no room; nothing else. At most one line a second,
// by `limit`.
void log_penalised(std::string_view listener, const SourceKey& source, const admission::Charge& charge,
                   const Penalised& what, const admission::PenaltyRules& rules, log::RateLimit& limit,
                   std::int64_t now_ns) noexcept;

}  // namespace bulkhead::ipc
