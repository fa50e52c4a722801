#include "worker/source_watch.h"

#include "worker/client_address.h"
#include "worker/ipc/table/penalty_log.h"

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

admission::Charge SourceWatch::charge_of(const ipc::Slot& slot, const ipc::Ended& how) const noexcept {
  if (!asks() || exempt(slot.peer)) return {};
  return admission::charge_for(ipc::ending_of(how), penalties());
}

void SourceWatch::tell(const ipc::Slot& slot, const admission::Charge& charge, const ipc::Penalised& what,
                       std::int64_t now_ns) noexcept {
  const admission::SourceRules& rules = header_.sources;
  const ipc::SourceKey source = ipc::source_of(slot.peer, rules.prefix4, rules.prefix6);
  ipc::log_penalised(path_, source, charge, what, rules.penalties, limit_, now_ns);
}

void SourceWatch::ended(std::uint32_t index, const ipc::Slot& slot, const ipc::Ended& how,
                        std::int64_t now_ns) noexcept {
  const admission::Charge charge = charge_of(slot, how);
  if (charge.offence == admission::Offence::none) return;
  tell(slot, charge, table_.penalise(index, charge, penalties(), now_ns), now_ns);
}

}  // namespace bulkhead::worker
