#include "master/config/admission_reader.h"

#include <fmt/format.h>

#include <algorithm>

namespace bulkhead::config {
namespace {

void add_network(Context& context, const Entry& entry, const Value& text, const std::string& pointer, Value& effective,
                 std::vector<Network>& out) {
  if (text.kind != Value::Kind::string) {
    context.report(text.at, pointer, fmt::format("expected a network, a string, got {}", describe(text)));
    return;
  }
  auto parsed = parse_network(text.text);
  if (const auto* problem = std::get_if<std::string>(&parsed)) {
    context.report(text.at, pointer, *problem);
    return;
  }
  auto& network = std::get<Network>(parsed);
  effective.text = network.text;
  if (std::find(out.begin(), out.end(), network) != out.end()) {
    context.report(text.at, pointer,
                   fmt::format("{} is listed twice in {}", in_quotes(network.text), entry.option.name));
  }
  out.push_back(std::move(network));
}

constexpr std::array kRateSetters{
    Setter<Rate>{"count", [](Context&, Rate& rate, const Entry& e) { rate.count = as_integer(e.value); }},
    Setter<Rate>{"per", [](Context&, Rate& rate, const Entry& e) { rate.per = as_duration(e.value); }},
};
static_assert(covers(kRateSetters, Scope::rate));

}  // namespace

std::vector<Network> read_networks(Context& context, const Entry& entry) {
  std::vector<Network> out;
  if (entry.value.kind == Value::Kind::string) {
    add_network(context, entry, entry.value, entry.pointer(), entry.effective, out);
    return out;
  }
  for (std::size_t i = 0; i < entry.value.items.size(); ++i) {
    add_network(context, entry, entry.value.items[i], child_pointer(entry.pointer(), i), entry.effective.items[i], out);
  }
  return out;
}

Rate read_rate(Context& context, const Entry& entry) {
  Rate rate;
  if (!entry.is_word()) read_object(context, entry, kRateSetters, rate, fmt::format("in {}", entry.option.name));
  return rate;
}

void set_allow(Context& context, Node& node, const Entry& entry) {
  if (entry.given) node.listener->allow = read_networks(context, entry);
}

void set_deny(Context& context, Node& node, const Entry& entry) {
  node.listener->deny = read_networks(context, entry);
}

void set_max_connection_rate(Context& context, Node& node, const Entry& entry) {
  node.listener->max_connection_rate = read_rate(context, entry);
}

void check_admission(Context& context, const Section& section, const Listener& listener) {
  if (listener.on_full == OnFull::message && listener.banner_fail.empty()) {
    context.report(section.place_of("on_full"), section.pointer_of("on_full"),
                   "\"message\" sends banner_fail, which is missing");
  }
}

}  // namespace bulkhead::config
