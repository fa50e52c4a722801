#include "worker/reception.h"

#include <sys/socket.h>

#include <utility>

#include "worker/client_address.h"
#include "worker/refusal_words.h"
#include "worker/sys/clock.h"

namespace bulkhead::worker {

namespace {

log::Addresses shown() noexcept {
  return log::own().settings().addresses;
}

}  // namespace

Reception::Reception(const ipc::Plan& plan, ipc::Table& table, Connections& connections, Refusals& refusals,
                     const SourceWatch& sources, int channel)
    : header_(plan.header()),
      table_(table),
      connections_(connections),
      refusals_(refusals),
      sources_(sources),
      pipeline_(map_of(plan, header_.access), map_of(plan, header_.rules), map_of(plan, header_.proxy.senders)),
      request_(channel),
      rules_(plan.array<ipc::PlanRule>(header_.rule_list)) {}

ipc::Demand Reception::demand() const noexcept {
  return {header_.run, header_.worker, table_.has_rate() ? sys::monotonic_ns() : 0, queues()};
}

Received Reception::claim(Arrival& arrival) noexcept {
  const ipc::Grant grant = table_.claim(demand());
  arrival.slot = grant.slot;
  ask_for_places(grant);
  return grant.slot == ipc::kNoSlot ? wait_for(grant) : Received::done;
}

Received Reception::wait_for(const ipc::Grant& grant) noexcept {
  until_ns_ = grant.until_ns;
  if (grant.refusal == ipc::Refusal::daemon_max) return grant.exhausted ? Received::total : Received::places;
  return grant.refusal == ipc::Refusal::rate ? Received::rate : Received::full;
}

bool Reception::arrived(Arrival& arrival) {
  if (!has_address(arrival.transport)) return true;
  const auto verdict = pipeline_.transport(address_of(arrival.transport));
  if (!verdict.allowed)
    refuse(arrival, ipc::Refusal::denied,
           denial_words(arrival.transport, verdict.length, admission::kNoRule, shown()).view());
  return verdict.allowed;
}

// Access to a Unix socket is decided by its mode.
bool Reception::may_speak(Arrival& arrival) {
  if (!has_address(arrival.transport) || pipeline_.sender(address_of(arrival.transport))) return true;
  refuse(arrival, ipc::Refusal::proxy, ", which does not contain the sender");
  return false;
}

bool Reception::client_may(Arrival& arrival) {
  if (!has_address(arrival.client)) return true;
  const auto verdict = pipeline_.client(address_of(arrival.client));
  arrival.rule = verdict.rule;
  if (verdict.rule < rules_.size()) arrival.handler = rules_[verdict.rule].handler;
  if (!verdict.allowed)
    refuse(arrival, ipc::Refusal::denied, denial_words(arrival.client, verdict.length, verdict.rule, shown()).view());
  return verdict.allowed;
}

Received Reception::admit(Arrival& arrival) {
  // A connection in service that lacked only a process has passed these steps before.
  const bool admitted = arrival.slot != ipc::kNoSlot && table_.slot(arrival.slot).state == ipc::SlotState::serving;
  if (!admitted) {
    if (!client_may(arrival)) return Received::done;
    ipc::Demand wanted = demand();
    if (sources_.asks()) {
      wanted.source = sources_.question(arrival);
      if (limited_by_rule(arrival)) wanted.source.max_connections = rules_[arrival.rule].max_connections;
      if (arrival.rule < rules_.size() && rules_[arrival.rule].own_rate != 0) {
        wanted.source.rate = &rules_[arrival.rule].rate;
      }
      wanted.now_ns = sys::monotonic_ns();
    }
    wanted.without_rate = arrival.rule < rules_.size() && rules_[arrival.rule].without_rate != 0;
    const ipc::Grant grant = table_.admit(wanted, arrival.slot);
    ask_for_places(grant);
    if (grant.slot == ipc::kNoSlot) return no_room(arrival, wanted, grant);
    arrival.slot = grant.slot;
    if (sources_.asks()) arrival.source_connections = grant.source.connections;
    if (grant.source.would_refuse) {
      refusals_.would_refuse(arrival, ipc::Refusal::penalty,
                             source_words(ipc::Refusal::penalty, wanted, grant, admission::kNoRule, shown()).view());
    }
  }
  switch (connections_.begin(arrival)) {
    case Begun::served: return Received::done;
    case Begun::shortage: return Received::shortage;
    case Begun::impossible: refuse(arrival, ipc::Refusal::handler_start); break;
  }
  return Received::done;
}

Received Reception::no_room(Arrival& arrival, const ipc::Demand& demand, const ipc::Grant& grant) {
  const bool capacity = ipc::is_capacity(grant.refusal);
  const bool asked = grant.refusal == ipc::Refusal::daemon_max && !grant.exhausted;
  if (asked || (capacity && queues())) return wait_for(grant);
  const bool by_rule =
      grant.refusal == ipc::Refusal::rate_per_source ? demand.source.rate != nullptr : limited_by_rule(arrival);
  const std::uint32_t rule = by_rule ? arrival.rule : admission::kNoRule;
  refuse(arrival, grant.refusal,
         (capacity ? capacity_words(grant.refusal, table_) : source_words(grant.refusal, demand, grant, rule, shown()))
             .view());
  return Received::done;
}

void Reception::ask_for_places(const ipc::Grant& grant) noexcept {
  if (grant.refusal != ipc::Refusal::daemon_max) return;
  request_.set_refused(grant.exhausted);
  request_.ask(sys::monotonic_ns());
}

bool Reception::limited_by_rule(const Arrival& arrival) const noexcept {
  return arrival.rule < rules_.size() && rules_[arrival.rule].max_connections != 0;
}

void Reception::refuse(Arrival& arrival, ipc::Refusal reason, std::string_view detail) {
  if (arrival.slot != ipc::kNoSlot) connections_.release(std::exchange(arrival.slot, ipc::kNoSlot));
  refusals_.refuse(arrival, reason, detail);
}

}  // namespace bulkhead::worker
