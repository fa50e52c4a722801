#include "master/config/rules_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "master/config/admission_reader.h"
#include "master/config/connection_variables.h"
#include "master/config/tree_reader.h"

namespace bulkhead::config {
namespace {

struct RuleReading {
  Listener& listener;
  Rule rule;
  std::optional<Handler> handler;
};

constexpr std::uint32_t kUnlimited = 0xffffffff;

template <std::optional<Timeout> Rule::*Field>
void set_time(Context&, RuleReading& reading, const Entry& entry) {
  if (entry.given) reading.rule.*Field = entry.is_word() ? Timeout() : Timeout(as_duration(entry.value));
}

constexpr std::array kRuleSetters{
    Setter<RuleReading>{
        "from", [](Context& context, RuleReading& r, const Entry& e) { r.rule.from = read_networks(context, e); }},
    Setter<RuleReading>{"action",
                        [](Context&, RuleReading& r, const Entry& e) { r.rule.deny = e.value.text == "deny"; }},
    Setter<RuleReading>{"max_connections",
                        [](Context&, RuleReading& r, const Entry& e) {
                          if (e.given) r.rule.max_connections = e.is_word() ? kUnlimited : as_integer(e.value);
                        }},
    Setter<RuleReading>{"max_rate_per_source",
                        [](Context& context, RuleReading& r, const Entry& e) {
                          if (e.given) r.rule.max_rate_per_source = read_rate(context, e);
                        }},
    Setter<RuleReading>{"max_connection_rate",
                        [](Context&, RuleReading& r, const Entry& e) { r.rule.without_rate = e.given; }},
    Setter<RuleReading>{"max_lifetime", set_time<&Rule::max_lifetime>},
    Setter<RuleReading>{"idle_timeout", set_time<&Rule::idle_timeout>},
    Setter<RuleReading>{"first_byte_timeout", set_time<&Rule::first_byte_timeout>},
    Setter<RuleReading>{"env",
                        [](Context&, RuleReading& r, const Entry& e) {
                          for (const Member& one : e.value.members) r.rule.env.emplace_back(one.key, one.value.text);
                        }},
    Setter<RuleReading>{"handler",
                        [](Context& context, RuleReading& r, const Entry& e) {
                          if (e.given) r.handler = read_handler(context, e);
                        }},
};
static_assert(covers(kRuleSetters, Scope::rule));

// A network may belong to one rule only.
void check_from(Context& context, const Section& section, const Rule& rule, const std::vector<Rule>& before) {
  for (std::size_t i = 0; i < before.size(); ++i) {
    for (const Network& network : rule.from) {
      const auto& theirs = before[i].from;
      if (std::find(theirs.begin(), theirs.end(), network) == theirs.end()) continue;
      context.report(section.place_of("from"), section.pointer_of("from"),
                     fmt::format("{} is already the network of rule {}", in_quotes(network.text), i));
    }
  }
}

const Option* option_of_rule(std::string_view key) {
  const auto* const row = std::ranges::find_if(
      kOptions, [key](const Option& option) { return option.scope == Scope::rule && option.name == key; });
  return row == kOptions.end() ? nullptr : row;
}

void check_use(Context& context, const Section& section, const RuleReading& reading) {
  const auto blame = [&](std::string_view key, const std::string& why) {
    context.report(section.place_of(key), section.pointer_of(key), why);
  };
  for (const Member& member : section.object.members) {
    const bool own = member.key == "from" || member.key == "action" || option_of_rule(member.key) == nullptr ||
                     (member.key == "env" && member.value.members.empty());
    if (reading.rule.deny && !own) blame(member.key, fmt::format("a rule that denies cannot have {}", member.key));
  }
  if (reading.rule.deny) return;
  const Listener& listener = reading.listener;
  if (reading.rule.without_rate &&
      (listener.on_full == OnFull::queue || listener.on_full == OnFull::drop_oldest_idle) &&
      listener.proxy.protocol == ProxyProtocol::off) {
    blame("max_connection_rate",
          "with this on_full the kernel's queue waits for max_connection_rate before it is known who the "
          "client is; choose \"close\", \"message\" or \"reset\"");
  }
  const Handler& handler = reading.handler ? *reading.handler : reading.listener.handlers.front();
  if (!reading.rule.env.empty() && std::holds_alternative<BuiltIn>(handler)) {
    blame("env", fmt::format("env is only for a program, and the handler is {}", name_of(handler)));
  }
}

void read_rule(Context& context, const Section& section, Listener& listener, Value& effective) {
  check_keys(context, section, {Scope::rule}, "in a rule");
  RuleReading reading{listener, {}, std::nullopt};
  Value shown = object_value({});
  read_options(context, section, Scope::rule, kRuleSetters, reading, shown);
  check_from(context, section, reading.rule, listener.rules);
  check_use(context, section, reading);
  check_variables(context, section);
  if (!reading.rule.deny && (reading.handler || !reading.rule.env.empty())) {
    reading.rule.handler = static_cast<std::uint32_t>(listener.handlers.size());
    listener.handlers.push_back(reading.handler ? *reading.handler : listener.handlers.front());
  }
  listener.rules.push_back(std::move(reading.rule));
  effective.items.push_back(std::move(shown));
}

}  // namespace

void set_rules(Context& context, Node& node, const Entry& entry) {
  entry.effective.items.clear();
  for (std::size_t i = 0; i < entry.value.items.size(); ++i) {
    const Value& rule = entry.value.items[i];
    const Section section{rule, child_pointer(entry.pointer(), i), rule.at};
    if (rule.kind == Value::Kind::object) {
      read_rule(context, section, *node.listener, entry.effective);
    } else {
      context.report(rule.at, section.pointer, fmt::format("expected a rule, an object, got {}", describe(rule)));
    }
  }
  if (node.listener->handlers.size() <= kMostOwnHandlers + 1) return;
  context.report(entry.at(), entry.pointer(),
                 fmt::format("at most {} rules of a listener may have a handler or env", kMostOwnHandlers));
}

}  // namespace bulkhead::config
