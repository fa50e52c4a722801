#include "master/config/tree_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "master/config/expand_children.h"

namespace bulkhead::config {
namespace {

using supervision::AutoShutdown;
using supervision::NodeType;
using supervision::Restart;
using supervision::RestartDelay;
using supervision::Shutdown;
using supervision::Strategy;

constexpr std::array kRestartDelaySetters{
    Setter<RestartDelay>{"min",
                         [](Context&, RestartDelay& delay, const Entry& e) { delay.min = as_duration(e.value); }},
    Setter<RestartDelay>{"max",
                         [](Context&, RestartDelay& delay, const Entry& e) { delay.max = as_duration(e.value); }},
    Setter<RestartDelay>{"factor",
                         [](Context&, RestartDelay& delay, const Entry& e) { delay.factor = as_number(e.value); }},
    Setter<RestartDelay>{"jitter",
                         [](Context&, RestartDelay& delay, const Entry& e) { delay.jitter = as_number(e.value); }},
    Setter<RestartDelay>{
        "reset_after", [](Context&, RestartDelay& delay, const Entry& e) { delay.reset_after = as_duration(e.value); }},
};
static_assert(covers(kRestartDelaySetters, Scope::restart_delay));

// The default depends on the type.
void set_shutdown(Context&, Node& node, const Entry& entry) {
  const bool supervisor = node.spec.type == NodeType::supervisor;
  if (!entry.given) entry.effective = string_value(supervisor ? "infinity" : "5s");
  const std::string& text = entry.effective.text;
  Shutdown& shutdown = node.spec.shutdown;
  if (text == "infinity") {
    shutdown = {Shutdown::Kind::infinity, {}};
  } else if (text == "brutal_kill") {
    shutdown = {Shutdown::Kind::brutal_kill, {}};
  } else {
    shutdown = {Shutdown::Kind::timeout, as_duration(entry.effective)};
  }
}

void set_restart_delay(Context& context, Node& node, const Entry& entry) {
  RestartDelay& delay = node.spec.restart_delay;
  delay.enabled = !entry.is_word();
  if (!delay.enabled) return;
  read_object(context, entry, kRestartDelaySetters, delay, "in restart_delay");
  if (delay.min <= delay.max) return;
  const Section section{entry.value, entry.pointer(), entry.at()};
  const std::string_view key = entry.value.find("min") != nullptr ? "min" : "max";
  context.report(section.place_of(key), section.pointer_of(key), "min may not be longer than max");
}

constexpr std::array kChildSetters{
    Setter<Node>{"id", [](Context&, Node& node, const Entry& e) { node.spec.id = e.value.text; }},
    Setter<Node>{"type", [](Context&, Node&, const Entry&) {}},  // read before all others
    Setter<Node>{"restart", [](Context&, Node& node, const Entry& e) { node.spec.restart = as_enum<Restart>(e); }},
    Setter<Node>{"significant",
                 [](Context&, Node& node, const Entry& e) { node.spec.significant = as_boolean(e.value); }},
    Setter<Node>{"shutdown", set_shutdown},
    Setter<Node>{"start_timeout",
                 [](Context&, Node& node, const Entry& e) {
                   node.start_timeout = e.is_word() ? Timeout() : Timeout(as_duration(e.value));
                 }},
    Setter<Node>{"restart_delay", set_restart_delay},
    Setter<Node>{"enabled", [](Context&, Node& node, const Entry& e) { node.enabled = as_boolean(e.value); }},
    Setter<Node>{"instances", [](Context&, Node&, const Entry&) {}},  // read before all others
};
static_assert(covers(kChildSetters, Scope::child));

// The default depends on the children: see set_default_max_restarts().
void set_max_restarts(Context&, Node& node, const Entry& entry) {
  node.spec.flags.max_restarts = entry.given ? as_limit(entry.value) : std::nullopt;
  entry.effective = limit_value(node.spec.flags.max_restarts);
}

void set_children(Context& context, Node& node, const Entry& entry) {
  read_children(context, entry.value, entry.pointer(), node, entry.effective);
}

constexpr std::array kSupervisorSetters{
    Setter<Node>{"strategy",
                 [](Context&, Node& node, const Entry& e) { node.spec.flags.strategy = as_enum<Strategy>(e); }},
    Setter<Node>{"max_restarts", set_max_restarts},
    Setter<Node>{"max_seconds",
                 [](Context&, Node& node, const Entry& e) { node.spec.flags.max_seconds = as_seconds(e.value); }},
    Setter<Node>{"auto_shutdown", [](Context&, Node& node,
                                     const Entry& e) { node.spec.flags.auto_shutdown = as_enum<AutoShutdown>(e); }},
    Setter<Node>{"defaults", [](Context&, Node&, const Entry& e) { e.effective = Value{}; }},  // the children have them
    Setter<Node>{"children", set_children},
};
static_assert(covers(kSupervisorSetters, Scope::supervisor));

// The keys that each type of child has beyond those of every child.
struct ChildKind {
  NodeType type;
  Scope scope;
  std::string_view what;
  void (*read)(Context&, const Section&, Node&, Value&);
};
constexpr std::array kKinds{
    ChildKind{NodeType::supervisor, Scope::supervisor, "in a supervisor", read_supervisor},
    ChildKind{NodeType::listener, Scope::listener, "in a listener", read_listener},
    ChildKind{NodeType::process, Scope::process, "in a process", read_process},
};

const Option& row(Scope scope, std::string_view name) {
  for (const Option& option : kOptions) {
    if (option.scope == scope && option.name == name) return option;
  }
  return kOptions.front();
}

// Null when `type` is missing or wrong: then only the keys of every child are read.
const ChildKind* kind_of(const Value& object) {
  const Option& option = row(Scope::child, "type");
  const Member* type = object.find("type");
  if (type == nullptr || !is_word(option, type->value)) return nullptr;
  return &kKinds[word_index(option, type->value)];
}

// Siblings must have different ids, including those from included files.
void claim_id(Context& context, const Section& section, const Node& node, const Node& parent) {
  if (node.spec.id.empty()) return;
  const std::string first = context.claim("children of " + parent.file + parent.pointer, node.spec.id, section.pointer);
  if (first.empty()) return;
  context.report(section.place_of("id"), section.pointer_of("id"),
                 fmt::format("the id {} is already used by {}", in_quotes(node.spec.id), first));
}

// OTP's rules for significant children: supervisor(3), "Child specification".
void check_significant(Context& context, const Section& section, const Node& node, AutoShutdown auto_shutdown) {
  if (!node.spec.significant) return;
  const auto blame = [&](const char* message) {
    context.report(section.place_of("significant"), section.pointer_of("significant"), message);
  };
  if (node.spec.restart == Restart::permanent) {
    blame("a significant child may not be permanent; set \"restart\" to \"transient\" or \"temporary\"");
  }
  if (auto_shutdown == AutoShutdown::never) {
    blame("a significant child needs a supervisor whose \"auto_shutdown\" is not \"never\"");
  }
}

void read_child(Context& context, const Section& section, Node& parent, Value& effective) {
  Node node;
  node.file = context.file();
  node.pointer = section.pointer;
  const ChildKind* kind = kind_of(section.object);
  std::vector<Scope> scopes{Scope::child};
  for (const ChildKind& each : kKinds) {
    if (kind == nullptr || kind == &each) scopes.push_back(each.scope);
  }
  if (kind == nullptr || kind->type != NodeType::supervisor) scopes.push_back(Scope::child_keys);
  if (kind != nullptr) node.spec.type = kind->type;
  check_keys(context, section, scopes, kind == nullptr ? "in a child" : kind->what);
  Value shown = object_value({});
  read_options(context, section, Scope::child, kChildSetters, node, shown);
  claim_id(context, section, node, parent);
  check_significant(context, section, node, parent.spec.flags.auto_shutdown);
  const AddressesFree free(context, !node.enabled);
  if (kind != nullptr) kind->read(context, section, node, shown);
  effective.items.push_back(std::move(shown));
  (node.enabled ? parent.children : parent.disabled).push_back(std::move(node));
}

}  // namespace

void read_children(Context& context, const Value& children, const std::string& pointer, Node& parent,
                   Value& effective) {
  for (std::size_t i = 0; i < children.items.size(); ++i) {
    const Value& child = children.items[i];
    const Section section{child, child_pointer(pointer, i), child.at};
    if (child.kind != Value::Kind::object) {
      context.report(child.at, section.pointer, fmt::format("expected a child (an object), got {}", describe(child)));
      continue;
    }
    for (const Value& meant : children_meant(context, section)) {
      read_child(context, {meant, section.pointer, section.at}, parent, effective);
    }
  }
}

void read_supervisor(Context& context, const Section& section, Node& node, Value& effective) {
  const DefaultsInForce defaults(context, section);
  read_options(context, section, Scope::supervisor, kSupervisorSetters, node, effective);
  set_default_max_restarts(section, node, effective);
}

std::optional<std::uint32_t> default_max_restarts(bool all_wait) {
  constexpr std::uint32_t kWithoutDelay = 3;
  return all_wait ? std::nullopt : std::optional(kWithoutDelay);
}

void set_default_max_restarts(const Section& section, Node& node, Value& effective) {
  if (section.object.find("max_restarts") != nullptr) return;
  const bool all_wait =
      std::ranges::all_of(node.children, [](const Node& child) { return child.spec.restart_delay.enabled; });
  node.spec.flags.max_restarts = default_max_restarts(all_wait);
  for (Member& member : effective.members) {
    if (member.key == "max_restarts") member.value = limit_value(node.spec.flags.max_restarts);
  }
}

Value limit_value(std::optional<std::uint32_t> limit) {
  return limit ? number_value(std::to_string(*limit)) : string_value("unlimited");
}

std::optional<std::uint32_t> as_limit(const Value& value) {
  return value.kind == Value::Kind::number ? std::optional(as_integer(value)) : std::nullopt;
}

}  // namespace bulkhead::config
