// The worker's side of the limits for sources: what it asks about the source of a client, and the penalties for how
// connections ended.
#pragma once

#include <cstdint>

#include "worker/admission/prefix_map.h"
#include "worker/arrival.h"
#include "worker/ipc/connection_log.h"
#include "worker/ipc/plan.h"
#include "worker/ipc/table/table.h"
#include "worker/log/log.h"

namespace bulkhead::worker {

class SourceWatch {
 public:
  SourceWatch(const ipc::Plan& plan, ipc::Table& table);

  // Whether the listener limits or penalises sources; otherwise nothing else here is called.
  [[nodiscard]] bool asks() const noexcept { return header_.asks_sources != 0; }
  [[nodiscard]] const admission::SourceRules& rules() const noexcept { return header_.sources; }
  [[nodiscard]] ipc::SourceQuestion question(const Arrival& arrival) const noexcept;
  // Before the slot is freed.
  void ended(std::uint32_t index, const ipc::Slot& slot, const ipc::Ended& how, std::int64_t now_ns) noexcept;
  // The same in two parts, for a slot that is freed under one hold of the lock.
  [[nodiscard]] admission::Charge charge_of(const ipc::Slot& slot, const ipc::Ended& how) const noexcept;
  [[nodiscard]] const admission::PenaltyRules& penalties() const noexcept { return header_.sources.penalties; }
  void tell(const ipc::Slot& slot, const admission::Charge& charge, const ipc::Penalised& what,
            std::int64_t now_ns) noexcept;

 private:
  [[nodiscard]] bool exempt(const ipc::Peer& client) const noexcept;

  const ipc::PlanHeader& header_;
  const char* path_;
  ipc::Table& table_;
  admission::PrefixMap exempt_;
  log::RateLimit limit_;
};

}  // namespace bulkhead::worker
