#include "master/config/sources_reader.h"

#include <array>

#include "master/config/admission_reader.h"

namespace bulkhead::config {
namespace {

constexpr std::array kPrefixSetters{
    Setter<SourcePrefix>{"v4", [](Context&, SourcePrefix& prefix, const Entry& e) { prefix.v4 = as_integer(e.value); }},
    Setter<SourcePrefix>{"v6", [](Context&, SourcePrefix& prefix, const Entry& e) { prefix.v6 = as_integer(e.value); }},
};
static_assert(covers(kPrefixSetters, Scope::source_prefix));

// Makes a setter of one duration.
template <Duration Penalties::*Field>
void set_duration(Context&, Penalties& penalties, const Entry& entry) {
  penalties.*Field = as_duration(entry.value);
}

constexpr std::array kPenaltySetters{
    Setter<Penalties>{"mode", [](Context&, Penalties& p, const Entry& e) { p.mode = as_enum<PenaltyMode>(e); }},
    Setter<Penalties>{"crash", set_duration<&Penalties::crash>},
    Setter<Penalties>{"timeout", set_duration<&Penalties::timeout>},
    Setter<Penalties>{"no_input", set_duration<&Penalties::no_input>},
    Setter<Penalties>{"exit", [](Context&, Penalties& p, const Entry& e) { p.exit = as_exit_durations(e.value); }},
    Setter<Penalties>{"min", set_duration<&Penalties::min>},
    Setter<Penalties>{"max", set_duration<&Penalties::max>},
    Setter<Penalties>{"max_sources4",
                      [](Context&, Penalties& p, const Entry& e) { p.max_sources4 = as_integer(e.value); }},
    Setter<Penalties>{"max_sources6",
                      [](Context&, Penalties& p, const Entry& e) { p.max_sources6 = as_integer(e.value); }},
    Setter<Penalties>{"overflow",
                      [](Context&, Penalties& p, const Entry& e) { p.overflow = as_enum<PenaltyOverflow>(e); }},
    Setter<Penalties>{"exempt",
                      [](Context& context, Penalties& p, const Entry& e) { p.exempt = read_networks(context, e); }},
};
static_assert(covers(kPenaltySetters, Scope::penalties));

}  // namespace

void set_max_connections_per_source(Context&, Node& node, const Entry& entry) {
  if (!entry.is_word()) node.listener->max_connections_per_source = as_integer(entry.value);
}

void set_max_rate_per_source(Context& context, Node& node, const Entry& entry) {
  node.listener->max_rate_per_source = read_rate(context, entry);
}

void set_source_prefix(Context& context, Node& node, const Entry& entry) {
  read_object(context, entry, kPrefixSetters, node.listener->source_prefix, "in source_prefix");
}

void set_penalties(Context& context, Node& node, const Entry& entry) {
  Penalties& penalties = node.listener->penalties;
  read_object(context, entry, kPenaltySetters, penalties, "in penalties");
  if (penalties.min <= penalties.max) return;
  const Section section{entry.value, entry.pointer(), entry.at()};
  const std::string_view key = entry.value.find("min") != nullptr ? "min" : "max";
  context.report(section.place_of(key), section.pointer_of(key), "min may not be longer than max");
}

}  // namespace bulkhead::config
