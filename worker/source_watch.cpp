#include "worker/source_watch.h"

#include <algorithm>
#include <cstring>

#include "worker/client_address.h"
#include "worker/ipc/penalty_log.h"

namespace bulkhead::worker {

SourceWatch::SourceWatch(const ipc::Plan& plan, ipc::Table& table)
    : header_(plan.header()),
      path_(plan.string(header_.listener_path)),
      table_(table),
      exempt_(map_of(plan, header_.exempt)) {}

bool SourceWatch::exempt(const ipc::Peer& client) const noexcept {
  return has_address(client) && exempt_.find(address_of(client)).value != 0;
}

ipc::SourceQuestion SourceWatch::question(const Arrival& arrival) const noexcept {
  const admission::SourceRules& rules = header_.sources;
  return {ipc::source_of(arrival.client, rules.prefix4, rules.prefix6), &rules, rules.max_connections,
          exempt(arrival.client)};
}

void SourceWatch::ended(std::uint32_t index, const ipc::Slot& slot, const ipc::Ended& how,
                        std::int64_t now_ns) noexcept {
  const admission::SourceRules& rules = header_.sources;
  const admission::Charge charge = admission::charge_for(ipc::ending_of(how), rules.penalties);
  if (charge.offence == admission::Offence::none || exempt(slot.peer)) return;
  const ipc::Penalised what = table_.penalise(index, charge, rules.penalties, now_ns);
  const ipc::SourceKey source = ipc::source_of(slot.peer, rules.prefix4, rules.prefix6);
  ipc::log_penalised(path_, source, charge, what, rules.penalties, limit_, now_ns);
}

SourceWords::SourceWords(ipc::Refusal refusal, const ipc::Demand& demand, const ipc::Grant& grant) noexcept {
  const admission::Penalty penalty = grant.source.penalty;
  switch (refusal) {
    case ipc::Refusal::penalty:
      if (penalty.refuses(demand.now_ns)) {
        add("penalties: ");
        add(admission::offence_text(penalty.offence()));
        add(", ");
        add(static_cast<std::uint32_t>((penalty.until_ns() - demand.now_ns) / 1'000'000'000));
        add(" s left");
      } else {
        add("penalties.overflow is deny-all");
      }
      break;
    case ipc::Refusal::per_source:
      add("max_connections_per_source is ");
      add(demand.source.max_connections);
      break;
    case ipc::Refusal::rate_per_source: break;
    default: return;
  }
  add(", source ");
  add(ipc::SourceText(demand.source.key).view());
}

void SourceWords::add(std::string_view words) noexcept {
  const std::size_t count = std::min(words.size(), sizeof text_ - length_);
  std::memcpy(text_ + length_, words.data(), count);
  length_ += count;
}

void SourceWords::add(std::uint32_t number) noexcept {
  char digits[12];
  add({digits, ipc::decimal_text(number, digits)});
}

}  // namespace bulkhead::worker
