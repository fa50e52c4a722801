// The reasons for a refusal, in words that follow those of the plan: the network that denies it, the value of a limit
// that may change, the source and its penalty.
#pragma once

#include <cstdint>
#include <string_view>

#include "worker/ipc/table/table.h"
#include "worker/log/log.h"

namespace bulkhead::worker {

// Text of at most 128 bytes; what is longer is cut.
class Words {
 public:
  Words& add(std::string_view words) noexcept;
  Words& add(std::uint32_t number) noexcept;
  [[nodiscard]] std::string_view view() const noexcept { return {text_, length_}; }

 private:
  char text_[128];
  std::size_t length_ = 0;
};

// "deny contains 192.0.2.0/24", "allow does not contain the address", "rule 3 denies 192.0.2.0/24". A network that says
// more of the address than `shown` allows is not named.
[[nodiscard]] Words denial_words(const ipc::Peer& peer, std::uint32_t length, std::uint32_t rule,
                                 log::Addresses shown = log::Addresses::full) noexcept;

// max_connections and daemon_max "1024", rate "100 per 1s"
[[nodiscard]] Words capacity_words(ipc::Refusal reason, const ipc::Table& table) noexcept;

// "max_connections_per_source is 3, source 192.0.2.7/32". `rule` is the rule that set the limit, or kNoRule.
[[nodiscard]] Words source_words(ipc::Refusal reason, const ipc::Demand& demand, const ipc::Grant& grant,
                                 std::uint32_t rule, log::Addresses shown = log::Addresses::full) noexcept;

}  // namespace bulkhead::worker
