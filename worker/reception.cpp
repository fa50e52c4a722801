#include "worker/reception.h"

#include <sys/socket.h>

#include <cstring>
#include <utility>

#include "worker/client_address.h"
#include "worker/sys/clock.h"

namespace bulkhead::worker {

namespace {

// Why an address is denied: "deny has 192.0.2.0/24", "allow does not have it", "rule 3 denies 192.0.2.0/24".
class Denial {
 public:
  Denial(const ipc::Peer& peer, std::uint32_t length, std::uint32_t rule) noexcept {
    if (length == admission::kNoNetwork) {
      add("allow does not have it");
      return;
    }
    if (rule == admission::kNoRule) {
      add("deny has ");
    } else {
      add("rule ");
      add(rule);
      add(" denies ");
    }
    char address[64];
    ipc::address_text(first_of(peer, length), address);
    add(address);
    add("/");
    add(length);
  }
  [[nodiscard]] std::string_view view() const noexcept { return {text_, length_}; }

 private:
  static ipc::Peer first_of(const ipc::Peer& peer, std::uint32_t length) noexcept {
    ipc::Peer out = peer;
    out.scope = 0;
    const std::uint32_t bits = peer.family == AF_INET ? 32 : 128;
    for (std::uint32_t bit = length; bit < bits; ++bit) {
      out.address[bit / 8] = static_cast<std::uint8_t>(out.address[bit / 8] & ~(0x80U >> (bit % 8)));
    }
    return out;
  }
  void add(std::string_view words) noexcept {
    std::memcpy(text_ + length_, words.data(), words.size());
    length_ += words.size();
  }
  void add(std::uint32_t number) noexcept {
    char digits[12];
    add({digits, ipc::decimal_text(number, digits)});
  }

  char text_[128];
  std::size_t length_ = 0;
};

}  // namespace

Reception::Reception(const ipc::Plan& plan, ipc::Table& table, Connections& connections, Refusals& refusals,
                     const SourceWatch& sources)
    : header_(plan.header()),
      table_(table),
      connections_(connections),
      refusals_(refusals),
      sources_(sources),
      pipeline_(map_of(plan, header_.access), map_of(plan, header_.rules), map_of(plan, header_.proxy.senders)) {}

ipc::Demand Reception::demand() const noexcept {
  return {header_.run, header_.worker, table_.has_rate() ? sys::monotonic_ns() : 0,
          header_.on_full == ipc::OnFull::queue};
}

ipc::Grant Reception::claim() noexcept {
  const ipc::Grant grant = table_.claim(demand());
  until_ns_ = grant.until_ns;
  return grant;
}

bool Reception::arrived(Arrival& arrival) {
  if (!has_address(arrival.transport)) return true;
  const auto verdict = pipeline_.transport(address_of(arrival.transport));
  if (!verdict.allowed)
    refuse(arrival, ipc::Refusal::denied, Denial(arrival.transport, verdict.length, admission::kNoRule).view());
  return verdict.allowed;
}

// Who reaches a Unix socket is decided by its mode.
bool Reception::may_speak(Arrival& arrival) {
  if (!has_address(arrival.transport) || pipeline_.sender(address_of(arrival.transport))) return true;
  refuse(arrival, ipc::Refusal::proxy, ", which does not hold the sender");
  return false;
}

bool Reception::client_may(Arrival& arrival) {
  if (!has_address(arrival.client)) return true;
  const auto verdict = pipeline_.client(address_of(arrival.client));
  arrival.rule = verdict.rule;
  if (!verdict.allowed)
    refuse(arrival, ipc::Refusal::denied, Denial(arrival.client, verdict.length, verdict.rule).view());
  return verdict.allowed;
}

Received Reception::admit(Arrival& arrival) {
  // One that has its slot and lacked but a process has been through this.
  const bool admitted = arrival.slot != ipc::kNoSlot && table_.slot(arrival.slot).state == ipc::SlotState::serving;
  if (!admitted) {
    if (!client_may(arrival)) return Received::done;
    ipc::Demand wanted = demand();
    if (sources_.asks()) {
      wanted.source = sources_.question(arrival);
      wanted.now_ns = sys::monotonic_ns();
    }
    const ipc::Grant grant = table_.admit(wanted, arrival.slot);
    if (grant.slot == ipc::kNoSlot) return no_room(arrival, wanted, grant);
    arrival.slot = grant.slot;
    if (sources_.asks()) arrival.source_connections = grant.source.connections;
    if (grant.source.would_refuse) {
      refusals_.would_refuse(arrival, ipc::Refusal::penalty, SourceWords(ipc::Refusal::penalty, wanted, grant).view());
    }
  }
  switch (connections_.begin(arrival)) {
    case Connections::Begun::served: return Received::done;
    case Connections::Begun::shortage: return Received::shortage;
    case Connections::Begun::impossible: refuse(arrival, ipc::Refusal::handler_start); break;
  }
  return Received::done;
}

Received Reception::no_room(Arrival& arrival, const ipc::Demand& demand, const ipc::Grant& grant) {
  const bool capacity = grant.refusal == ipc::Refusal::rate || grant.refusal == ipc::Refusal::max_connections;
  if (!capacity || header_.on_full != ipc::OnFull::queue) {
    refuse(arrival, grant.refusal, SourceWords(grant.refusal, demand, grant).view());
    return Received::done;
  }
  until_ns_ = grant.until_ns;
  return grant.refusal == ipc::Refusal::rate ? Received::rate : Received::full;
}

void Reception::refuse(Arrival& arrival, ipc::Refusal reason, std::string_view detail) {
  if (arrival.slot != ipc::kNoSlot) connections_.release(std::exchange(arrival.slot, ipc::kNoSlot));
  refusals_.refuse(arrival, reason, detail);
}

}  // namespace bulkhead::worker
