#include "master/config/admission_sense.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

namespace bulkhead::config {
namespace {

// Whether `outer` contains each address of `inner`.
bool contains(const Network& outer, const Network& inner) {
  if (outer.v6 != inner.v6 || outer.length > inner.length) return false;
  const std::uint32_t bits = outer.v6 ? outer.length : outer.length + 96;  // an IPv4 address is the lowest 32 of 128
  const auto mask = [](std::uint32_t length) { return length == 0 ? 0 : ~std::uint64_t{0} << (64 - length); };
  const std::uint64_t high = mask(std::min(bits, 64U));
  const std::uint64_t low = mask(bits > 64 ? bits - 64 : 0);
  return (outer.high & high) == (inner.high & high) && (outer.low & low) == (inner.low & low);
}

bool is_in(const std::vector<Network>& list, const Network& network) {
  return std::ranges::find(list, network) != list.end();
}

// The rule of worker/admission/access_list.h, for all addresses of a network at once: false only if none is allowed.
bool serves_any(const Listener& listener, const Network& network) {
  static const std::vector<Network> kNone;
  const auto& allow = listener.allow ? *listener.allow : kNone;
  const auto lets_in = [&](const Network& one) { return contains(network, one) && !is_in(listener.deny, one); };
  if (std::ranges::any_of(allow, lets_in)) return true;
  const auto longest = [&](const std::vector<Network>& list) {
    int out = -1;
    for (const Network& one : list) {
      if (contains(one, network)) out = std::max(out, static_cast<int>(one.length));
    }
    return out;
  };
  const int allowed = longest(allow);
  const int denied = longest(listener.deny);
  return allowed > denied || (denied < 0 && !listener.allow);
}

Network whole(bool v6) {
  Network out;
  out.v6 = v6;
  return out;
}

}  // namespace

void check_sense_of_admission(const Given& given, const Listener& listener, bool all_have_addresses) {
  const bool any = serves_any(listener, whole(false)) || serves_any(listener, whole(true));
  if (!any && all_have_addresses) given.warn(listener.deny.empty() ? "allow" : "deny", "no client is served");
  for (std::size_t i = 0; i < listener.rules.size(); ++i) {
    const Rule& rule = listener.rules[i];
    const auto served = [&](const Network& network) { return serves_any(listener, network); };
    if (!rule.from.empty() && std::ranges::none_of(rule.from, served)) {
      given.warn_at("rules", i, "from", "it has no effect: allow and deny refuse all of these clients");
    }
    if (rule.max_connections > listener.max_connections) {
      given.warn_at("rules", i, "max_connections",
                    fmt::format("it has no effect: it is above the listener's, which is {}", listener.max_connections));
    }
  }
}

}  // namespace bulkhead::config
