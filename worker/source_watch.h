// What this worker asks about the sources of its clients, and what it tells of how their connections ended.
#pragma once

#include <cstdint>
#include <string_view>

#include "worker/admission/prefix_map.h"
#include "worker/arrival.h"
#include "worker/ipc/connection_log.h"
#include "worker/ipc/plan.h"
#include "worker/ipc/table.h"
#include "worker/log/log.h"

namespace bulkhead::worker {

class SourceWatch {
 public:
  SourceWatch(const ipc::Plan& plan, ipc::Table& table);

  // The listener limits or penalises sources; otherwise nothing here is ever called.
  [[nodiscard]] bool asks() const noexcept { return header_.asks_sources != 0; }
  [[nodiscard]] ipc::SourceQuestion question(const Arrival& arrival) const noexcept;
  // Before the slot is freed.
  void ended(std::uint32_t index, const ipc::Slot& slot, const ipc::Ended& how, std::int64_t now_ns) noexcept;

 private:
  [[nodiscard]] bool exempt(const ipc::Peer& client) const noexcept;

  const ipc::PlanHeader& header_;
  const char* path_;
  ipc::Table& table_;
  admission::PrefixMap exempt_;
  log::RateLimit limit_;
};

// Why a source was refused, for the log: "max_connections_per_source is 3, source 192.0.2.7/32". Empty for refusals
// that are about something else.
class SourceWords {
 public:
  SourceWords(ipc::Refusal refusal, const ipc::Demand& demand, const ipc::Grant& grant) noexcept;
  [[nodiscard]] std::string_view view() const noexcept { return {text_, length_}; }

 private:
  void add(std::string_view words) noexcept;
  void add(std::uint32_t number) noexcept;
  char text_[192];
  std::size_t length_ = 0;
};

}  // namespace bulkhead::worker
