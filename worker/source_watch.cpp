#include "worker/source_watch.h"

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

}  // namespace bulkhead::worker
