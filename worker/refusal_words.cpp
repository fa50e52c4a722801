#include "worker/refusal_words.h"

#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "worker/admission/pipeline.h"
#include "worker/ipc/source_key.h"

namespace bulkhead::worker {

namespace {

// "192.0.2.0/24", which contains `peer`
void add_network(Words& words, ipc::Peer peer, std::uint32_t length) noexcept {
  peer.scope = 0;
  const std::uint32_t bits = peer.family == AF_INET ? 32 : 128;
  for (std::uint32_t bit = length; bit < bits; ++bit) {
    peer.address[bit / 8] = static_cast<std::uint8_t>(peer.address[bit / 8] & ~(0x80U >> (bit % 8)));
  }
  char address[64];
  words.add({address, ipc::address_text(peer, address)}).add("/").add(length);
}

bool may_be_shown(const ipc::Peer& peer, std::uint32_t length, log::Addresses shown) noexcept {
  if (shown == log::Addresses::full) return true;
  return shown == log::Addresses::prefix && length <= (peer.family == AF_INET ? ipc::kShown4 : ipc::kShown6);
}

// "100 per 1s": the time in the largest unit that gives a whole number
void add_rate(Words& words, std::uint32_t count, std::int64_t per_ns) noexcept {
  struct Unit {
    std::int64_t nanoseconds;
    const char* name;
  };
  static constexpr Unit kUnits[] = {{3'600'000'000'000, "h"}, {60'000'000'000, "m"}, {1'000'000'000, "s"}};
  Unit unit{1'000'000, "ms"};
  for (const Unit& larger : kUnits) {
    if (per_ns % larger.nanoseconds != 0) continue;
    unit = larger;
    break;
  }
  words.add(count).add(" per ").add(static_cast<std::uint32_t>(per_ns / unit.nanoseconds)).add(unit.name);
}

void add_penalty(Words& words, const admission::Penalty& penalty, std::int64_t now_ns) noexcept {
  if (!penalty.refuses(now_ns)) {
    words.add("penalties.overflow is deny-all");
    return;
  }
  const auto left = static_cast<std::uint32_t>((penalty.until_ns() - now_ns) / 1'000'000'000);
  words.add("penalties: ")
      .add(admission::kOffenceWords.text(penalty.offence(), "unknown"))
      .add(", ")
      .add(left)
      .add(" s left");
}

}  // namespace

Words& Words::add(std::string_view words) noexcept {
  const std::size_t count = std::min(words.size(), sizeof text_ - length_);
  std::memcpy(text_ + length_, words.data(), count);
  length_ += count;
  return *this;
}

Words& Words::add(std::uint32_t number) noexcept {
  char digits[12];
  return add({digits, ipc::decimal_text(number, digits)});
}

Words denial_words(const ipc::Peer& peer, std::uint32_t length, std::uint32_t rule, log::Addresses shown) noexcept {
  Words words;
  if (length == admission::kNoNetwork) return words.add("allow does not contain the address");
  if (rule == admission::kNoRule) {
    words.add("deny contains ");
  } else {
    words.add("rule ").add(rule).add(" denies ");
  }
  if (may_be_shown(peer, length, shown)) {
    add_network(words, peer, length);
  } else {
    words.add("the address");
  }
  return words;
}

Words capacity_words(ipc::Refusal reason, const ipc::Table& table) noexcept {
  Words words;
  const ipc::Shape limits = table.limits();
  if (reason == ipc::Refusal::daemon_max) words.add(table.daemon_max());
  if (reason == ipc::Refusal::max_connections) words.add(limits.capacity);
  if (reason == ipc::Refusal::rate) add_rate(words, limits.rate_count, limits.rate_per_ns);
  return words;
}

Words source_words(ipc::Refusal reason, const ipc::Demand& demand, const ipc::Grant& grant, std::uint32_t rule,
                   log::Addresses shown) noexcept {
  Words words;
  if (reason == ipc::Refusal::penalty) add_penalty(words, grant.source.penalty, demand.now_ns);
  if (reason == ipc::Refusal::per_source) {
    if (rule == admission::kNoRule) {
      words.add("max_connections_per_source is ");
    } else {
      words.add("max_connections of rule ").add(rule).add(" is ");
    }
    words.add(demand.source.max_connections);
  }
  if (reason == ipc::Refusal::rate_per_source && demand.source.rules != nullptr) {
    words.add("max_rate_per_source");
    if (demand.source.rate != nullptr && rule != admission::kNoRule) words.add(" of rule ").add(rule);
    words.add(" is ");
    const admission::Rate& rate = demand.source.rate_of_it();
    add_rate(words, rate.count, rate.per_ns);
  }
  if (shown == log::Addresses::none) return words;
  const ipc::SourceKey& key = demand.source.key;
  const bool all = shown == log::Addresses::full;
  return words.add(", source ").add(ipc::SourceText(all ? key : ipc::shown_prefix(key)).view());
}

}  // namespace bulkhead::worker
