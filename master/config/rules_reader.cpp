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

constexpr std::array kRuleSetters{
    Setter<RuleReading>{
        "from", [](Context& context, RuleReading& r, const Entry& e) { r.rule.from = read_networks(context, e); }},
    Setter<RuleReading>{"action",
                        [](Context&, RuleReading& r, const Entry& e) { r.rule.deny = e.value.text == "deny"; }},
    Setter<RuleReading>{"max_connections",
                        [](Context&, RuleReading& r, const Entry& e) {
                          if (e.given) r.rule.max_connections = as_integer(e.value);
                        }},
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

void check_use(Context& context, const Section& section, const RuleReading& reading) {
  const auto blame = [&](std::string_view key, const std::string& why) {
    context.report(section.place_of(key), section.pointer_of(key), why);
  };
  const std::pair<std::string_view, bool> extras[] = {{"max_connections", reading.rule.max_connections != 0},
                                                      {"env", !reading.rule.env.empty()},
                                                      {"handler", reading.handler.has_value()}};
  for (const auto& [key, given] : extras) {
    if (reading.rule.deny && given) blame(key, fmt::format("a rule that denies cannot have {}", key));
  }
  if (reading.rule.deny) return;
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
