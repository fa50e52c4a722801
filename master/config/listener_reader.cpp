#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "master/config/admission_reader.h"
#include "master/config/child_keys_reader.h"
#include "master/config/command.h"
#include "master/config/connection_variables.h"
#include "master/config/contradictions.h"
#include "master/config/foresight.h"
#include "master/config/own_log_reader.h"
#include "master/config/paths.h"
#include "master/config/proxy_reader.h"
#include "master/config/room_reader.h"
#include "master/config/rules_reader.h"
#include "master/config/socket_reader.h"
#include "master/config/sources_reader.h"
#include "master/config/tree_reader.h"
#include "worker/sys/signal_name.h"

namespace bulkhead::config {
namespace {

using supervision::Shutdown;

void set_workers(Context& context, Node& node, const Entry& entry) {
  constexpr std::uint32_t kMostByDefault = 8;
  node.listener->workers =
      entry.is_word() ? std::clamp(context.usable_cpus(), 1U, kMostByDefault) : as_integer(entry.value);
}

void set_max_unavailable(Context&, Node& node, const Entry& entry) {
  const bool number = entry.value.kind == Value::Kind::number;
  node.listener->max_unavailable = number ? Share{as_integer(entry.value), false} : *parse_percentage(entry.value.text);
}

// max_accepts has been read before.
void set_max_accepts_jitter(Context& context, Node& node, const Entry& entry) {
  constexpr std::uint32_t kShare = 4;
  Recycling& recycling = node.listener->recycling;
  recycling.max_accepts_jitter = entry.given ? as_integer(entry.value) : recycling.max_accepts / kShare;
  entry.effective = number_value(std::to_string(recycling.max_accepts_jitter));
  if (recycling.max_accepts == 0 || recycling.max_accepts_jitter <= recycling.max_accepts) return;
  context.report(entry.at(), entry.pointer(),
                 fmt::format("it may not be greater than max_accepts, which is {}", recycling.max_accepts));
}

// Its workers have its own restart_delay, which has been read before.
void set_max_restarts(Context&, Node& node, const Entry& entry) {
  node.spec.flags.max_restarts =
      entry.given ? as_limit(entry.value) : default_max_restarts(node.spec.restart_delay.enabled);
  entry.effective = limit_value(node.spec.flags.max_restarts);
}

constexpr std::array kHandlerSetters{
    Setter<ExecHandler>{"exec", [](Context& context, ExecHandler& handler,
                                   const Entry& e) { handler.argv = read_command(context, e); }},
    Setter<ExecHandler>{"arg0", [](Context&, ExecHandler& handler, const Entry& e) { handler.arg0 = e.value.text; }},
    Setter<ExecHandler>{"style",
                        [](Context&, ExecHandler& handler, const Entry& e) { handler.style = as_enum<ExecStyle>(e); }},
    Setter<ExecHandler>{"drain_fd",
                        [](Context&, ExecHandler& handler, const Entry& e) { handler.drain_fd = as_boolean(e.value); }},
};
static_assert(covers(kHandlerSetters, Scope::handler));

void set_module(Context& context, ModuleHandler& handler, const Entry& entry) {
  handler.path = resolve_path(entry.value.text, context.directory());
  handler.stamp = stamp_of_file(handler.path);
  entry.effective.text = handler.path;
  const std::string problem = why_not_loadable(handler.path, context.as_root());
  if (problem.empty()) {
    return context.mention({Context::Mentioned::Kind::library, handler.path, entry.at(), entry.pointer()});
  }
  context.report(entry.at(), entry.pointer(), fmt::format("cannot load {}: {}", in_quotes(handler.path), problem));
}

constexpr std::array kModuleSetters{
    Setter<ModuleHandler>{"module", set_module},
    Setter<ModuleHandler>{"options", [](Context&, ModuleHandler& handler,
                                        const Entry& e) { handler.options = write_compact_json(e.value); }},
};
static_assert(covers(kModuleSetters, Scope::module));

// The first of the keys "exec" and "module" decides which kind of handler it is.
void set_handler_object(Context& context, Handler& handler, const Entry& entry) {
  const auto& members = entry.value.members;
  const auto first = std::find_if(members.begin(), members.end(),
                                  [](const Member& member) { return member.key == "exec" || member.key == "module"; });
  if (first == members.end()) {
    const Section section{entry.value, entry.pointer(), entry.at()};
    check_keys(context, section, {Scope::handler, Scope::module}, "in handler");
    context.report(section.at, section.pointer, "the key \"exec\" or \"module\" is missing");
  } else if (first->key == "exec") {
    read_object(context, entry, kHandlerSetters, handler.emplace<ExecHandler>(), "in handler");
  } else {
    read_object(context, entry, Scope::module, kModuleSetters, handler.emplace<ModuleHandler>(),
                "in a handler with a module");
  }
}

void set_handler(Context& context, Node& node, const Entry& entry) {
  node.listener->handlers.front() = read_handler(context, entry);
}

Timeout as_timeout(const Entry& entry) {
  return entry.is_word() ? Timeout() : Timeout(as_duration(entry.value));
}

void set_idle_timeout(Context&, Node& node, const Entry& entry) {
  if (!entry.given) {
    const bool built_in = std::holds_alternative<BuiltIn>(node.listener->handlers.front());
    entry.effective = string_value(built_in ? "10m" : "infinity");
    return;
  }
  node.listener->idle_timeout = node.listener->program_idle_timeout = as_timeout(entry);
}

// No value of the key would mean the two defaults.
bool has_one_idle_timeout(const Listener& listener) {
  const auto is_built_in = [](const Handler& handler) { return std::holds_alternative<BuiltIn>(handler); };
  const auto count = std::ranges::count_if(listener.handlers, is_built_in);
  return count == 0 || count == std::ssize(listener.handlers);
}

bool is_unix(const ListenAddress& address) {
  return address.form == ListenAddress::Form::unix_path || address.form == ListenAddress::Form::unix_abstract;
}

// The kernel says of TCP connections only what these need to know.
void check_looks(Context& context, const Section& section, const Listener& listener) {
  if (std::ranges::none_of(listener.listen, is_unix)) return;
  const bool built_in = std::ranges::all_of(
      listener.handlers, [](const Handler& handler) { return std::holds_alternative<BuiltIn>(handler); });
  const std::pair<std::string_view, bool> keys[] = {
      {"idle_timeout", !built_in && listener.program_idle_timeout.has_value()},
      {"first_byte_timeout", listener.first_byte_timeout.has_value()},
      {"on_client_gone", listener.on_client_gone != OnClientGone::leave},
      {"count_bytes", listener.count_bytes},
      {"on_full", listener.on_full == OnFull::drop_oldest_idle}};
  for (const auto& [key, looks] : keys) {
    if (!looks) continue;
    context.report(section.place_of(key), section.pointer_of(key),
                   fmt::format("{} needs TCP, and this listener has a Unix socket: only of TCP connections the kernel "
                               "says when something was last sent, and whether the client is still there",
                               key));
  }
}

// A worker loads its modules after it has changed to the identity and root directory of its connections, and uses /proc
// to see what they do to the process.
void check_root(Context& context, const Section& section, const Listener& listener) {
  if (listener.child.chroot.empty() || !has_modules(listener)) return;
  context.report(section.place_of("chroot"), section.pointer_of("chroot"),
                 "a module needs /proc and its libraries, which another root directory does not have: only an exec "
                 "handler or a built-in can have a chroot");
}

// Built-ins are our own code and open no file. A module is loaded by the worker, outside.
void check_private(Context& context, const Section& section, Listener& listener) {
  sandbox::Policy& policy = listener.child.sandbox;
  if (policy.spaces != 0 && policy.capabilities != 0) {
    context.report(section.place_of("sandbox"), section.pointer_of("sandbox") + "/keep_capabilities",
                   "a connection with \"private\" has no capabilities: they would hold inside its user namespace only");
  }
  const bool executes = std::ranges::any_of(
      listener.handlers, [](const Handler& handler) { return std::holds_alternative<ExecHandler>(handler); });
  if (policy.spaces == 0 || (executes && !has_modules(listener))) return;
  policy.spaces = 0;
  if (!policy.asks_for_spaces && policy.scope != sandbox::ScopeOf::off) return;
  context.report(section.place_of("sandbox"), section.pointer_of("sandbox") + "/private",
                 "only programs can have this: a listener with a built-in handler only, or with a module, cannot");
}

void check_kill_mode(Context& context, const Section& section, const Listener& listener) {
  if (listener.child.kill_mode != KillMode::mixed) return;
  context.report(section.place_of("kill_mode"), section.pointer_of("kill_mode"),
                 "only a process can have \"mixed\": the group of a connection is signalled as a whole, or not at all");
}

constexpr std::array kListenerSetters{
    Setter<Node>{"listen", set_listen},
    Setter<Node>{"backlog",
                 [](Context&, Node& node, const Entry& e) {
                   node.listener->sockets.backlog = as_integer(e.value);
                   node.listener->sockets.backlog_explicit = e.given;
                 }},
    Setter<Node>{"ipv6only", [](Context&, Node&, const Entry&) {}},  // read together with listen
    Setter<Node>{"mode", set_socket_mode},
    Setter<Node>{"owner", [](Context&, Node&, const Entry&) {}},  // needs group: see read_listener
    Setter<Node>{"nodelay",
                 [](Context&, Node& node, const Entry& e) { node.listener->sockets.nodelay = as_boolean(e.value); }},
    Setter<Node>{"keepalive", set_keepalive},
    Setter<Node>{"freebind",
                 [](Context&, Node& node, const Entry& e) { node.listener->sockets.freebind = as_boolean(e.value); }},
    Setter<Node>{"device", set_device},
    Setter<Node>{"rcvbuf", [](Context&, Node& node, const Entry& e) { node.listener->sockets.rcvbuf = as_buffer(e); }},
    Setter<Node>{"sndbuf", [](Context&, Node& node, const Entry& e) { node.listener->sockets.sndbuf = as_buffer(e); }},
    Setter<Node>{"workers", set_workers},
    Setter<Node>{"max_unavailable", set_max_unavailable},
    Setter<Node>{"max_accepts",
                 [](Context&, Node& node, const Entry& e) {
                   if (!e.is_word()) node.listener->recycling.max_accepts = as_integer(e.value);
                 }},
    Setter<Node>{"max_accepts_jitter", set_max_accepts_jitter},
    Setter<Node>{"max_age",
                 [](Context&, Node& node, const Entry& e) { node.listener->recycling.max_age = as_timeout(e); }},
    Setter<Node>{"max_crashes", [](Context& context, Node& node,
                                   const Entry& e) { node.listener->recycling.max_crashes = read_rate(context, e); }},
    Setter<Node>{"max_restarts", set_max_restarts},
    Setter<Node>{"max_seconds",
                 [](Context&, Node& node, const Entry& e) { node.spec.flags.max_seconds = as_seconds(e.value); }},
    Setter<Node>{"max_connections",
                 [](Context&, Node& node, const Entry& e) { node.listener->max_connections = as_integer(e.value); }},
    Setter<Node>{"reserved",
                 [](Context&, Node& node, const Entry& e) { node.listener->reserved = as_boolean(e.value); }},
    Setter<Node>{"max_connections_per_source", set_max_connections_per_source},
    Setter<Node>{"max_rate_per_source", set_max_rate_per_source},
    Setter<Node>{"source_prefix", set_source_prefix},
    Setter<Node>{"penalties", set_penalties},
    Setter<Node>{"max_connection_rate", set_max_connection_rate},
    Setter<Node>{"on_full", [](Context&, Node& node, const Entry& e) { node.listener->on_full = as_enum<OnFull>(e); }},
    Setter<Node>{"allow", set_allow},
    Setter<Node>{"deny", set_deny},
    Setter<Node>{"handshake_timeout", set_handshake_timeout},
    Setter<Node>{"proxy_protocol", set_proxy_protocol},
    Setter<Node>{"proxy_allow_from", set_proxy_allow_from},
    Setter<Node>{"proxy_timeout", set_proxy_timeout},
    Setter<Node>{"banner", [](Context&, Node& node, const Entry& e) { node.listener->banner = e.value.text; }},
    Setter<Node>{"banner_fail",
                 [](Context&, Node& node, const Entry& e) { node.listener->banner_fail = e.value.text; }},
    Setter<Node>{"max_lifetime",
                 [](Context&, Node& node, const Entry& e) { node.listener->max_lifetime = as_timeout(e); }},
    Setter<Node>{"handler", set_handler},
    Setter<Node>{"idle_timeout", set_idle_timeout},
    Setter<Node>{"first_byte_timeout",
                 [](Context&, Node& node, const Entry& e) { node.listener->first_byte_timeout = as_timeout(e); }},
    Setter<Node>{"on_client_gone", [](Context&, Node& node,
                                      const Entry& e) { node.listener->on_client_gone = as_enum<OnClientGone>(e); }},
    Setter<Node>{"count_bytes",
                 [](Context&, Node& node, const Entry& e) { node.listener->count_bytes = as_boolean(e.value); }},
    Setter<Node>{"stop_signal", [](Context&, Node& node,
                                   const Entry& e) { node.listener->stop_signal = sys::signal_number(e.value.text); }},
    Setter<Node>{"normal_exit",
                 [](Context&, Node& node, const Entry& e) { node.listener->normal_exit = as_exit_statuses(e.value); }},
    Setter<Node>{"rules", set_rules},
    Setter<Node>{"stderr",
                 [](Context&, Node& node, const Entry& e) {
                   if (e.given) node.listener->child.standard_error = as_enum<StandardError>(e);
                 }},
    Setter<Node>{"log",
                 [](Context& context, Node& node, const Entry& e) { read_own_log(context, node.listener->log, e); }},
    Setter<Node>{"log_addresses",
                 [](Context&, Node& node, const Entry& e) {
                   if (e.given) node.listener->log.addresses = as_enum<LogAddresses>(e);
                 }},
    Setter<Node>{"log_rate_limit",
                 [](Context&, Node& node, const Entry& e) { set_log_rate_limit(node.listener->child, e); }},
};
static_assert(covers(kListenerSetters, Scope::listener));

// For its supervisor a listener is a supervisor and has all the time it needs; `shutdown` applies to its connections.
void move_shutdown_to_connections(Node& node) {
  const Shutdown shutdown = node.spec.shutdown;
  node.spec.shutdown = {Shutdown::Kind::infinity, {}};
  switch (shutdown.kind) {
    case Shutdown::Kind::timeout: node.listener->connection_shutdown = shutdown.timeout; return;
    case Shutdown::Kind::brutal_kill: node.listener->connection_shutdown = Duration::zero(); return;
    case Shutdown::Kind::infinity: node.listener->connection_shutdown = kForever; return;
  }
}

WithoutUser without_user(const Listener& listener) {
  const bool executes = std::ranges::any_of(
      listener.handlers, [](const Handler& handler) { return std::holds_alternative<ExecHandler>(handler); });
  if (executes) return WithoutUser::refuse;
  return has_modules(listener) ? WithoutUser::only_pool : WithoutUser::pool;
}

}  // namespace

std::string name_of(const Handler& handler) {
  if (const auto* exec = std::get_if<ExecHandler>(&handler); exec != nullptr) {
    return std::filesystem::path(exec->argv.front()).filename();
  }
  if (const auto* module = std::get_if<ModuleHandler>(&handler); module != nullptr) {
    return std::filesystem::path(module->path).filename();
  }
  const auto* const row = std::find_if(kOptions.begin(), kOptions.end(), [](const Option& option) {
    return option.scope == Scope::listener && option.name == "handler";
  });
  return std::string(words_of(*row)[static_cast<std::size_t>(std::get<BuiltIn>(handler))]);
}

Handler read_handler(Context& context, const Entry& entry) {
  if (entry.is_word()) return as_enum<BuiltIn>(entry);
  Handler handler;
  set_handler_object(context, handler, entry);
  return handler;
}

bool has_modules(const Listener& listener) {
  return std::any_of(listener.handlers.begin(), listener.handlers.end(),
                     [](const Handler& handler) { return std::holds_alternative<ModuleHandler>(handler); });
}

bool has_drain_notice(const Listener& listener) {
  return std::any_of(listener.handlers.begin(), listener.handlers.end(), [](const Handler& handler) {
    const auto* exec = std::get_if<ExecHandler>(&handler);
    return std::holds_alternative<ModuleHandler>(handler) || (exec != nullptr && exec->drain_fd);
  });
}

void read_listener(Context& context, const Section& section, Node& node, Value& effective) {
  const InRoot root(context, section);
  node.listener.emplace();
  read_options(context, section, Scope::listener, kListenerSetters, node, effective);
  if (section.object.find("idle_timeout") == nullptr && !has_one_idle_timeout(*node.listener)) {
    std::erase_if(effective.members, [](const Member& member) { return member.key == "idle_timeout"; });
  }
  move_shutdown_to_connections(node);
  check_admission(context, section, *node.listener);
  check_looks(context, section, *node.listener);
  check_variables(context, section);
  read_child_keys(context, section, without_user(*node.listener), node.listener->child, effective);
  check_env_file(context, section, node.listener->child);
  check_root(context, section, *node.listener);
  check_private(context, section, *node.listener);
  check_kill_mode(context, section, *node.listener);
  check_room(context, section, *node.listener, effective);
  read_socket_owner(context, section, node.listener->sockets);
  foresee_addresses(context, section, *node.listener);
  check_sense_of_listener(context, section, node);
}

}  // namespace bulkhead::config
