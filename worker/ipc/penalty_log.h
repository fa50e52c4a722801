// What the end of a connection means for its source, and the line about it: the same whoever reaps it, the worker, or
// the master for an adopted one.
#pragma once

#include <string_view>

#include "worker/admission/penalties.h"
#include "worker/ipc/connection_log.h"
#include "worker/ipc/source_table.h"
#include "worker/log/log.h"

namespace bulkhead::ipc {

[[nodiscard]] admission::Ending ending_of(const Ended& ended) noexcept;

// Tells that a source is refused from now on, or that there was no room for its penalty; nothing else is news. At most
// a line a second by `limit`.
void log_penalised(std::string_view listener, const SourceKey& source, const admission::Charge& charge,
                   const Penalised& what, const admission::PenaltyRules& rules, log::RateLimit& limit,
                   std::int64_t now_ns) noexcept;

}  // namespace bulkhead::ipc
