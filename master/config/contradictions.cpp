#include "master/config/contradictions.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <string_view>

#include "master/config/admission_sense.h"
#include "master/config/counted.h"
#include "master/config/given.h"
#include "master/config/reserved_places.h"

namespace bulkhead::config {
namespace {

using Form = ListenAddress::Form;
using supervision::AutoShutdown;
using supervision::Restart;
using supervision::Shutdown;

bool listens_on(const Listener& listener, std::initializer_list<Form> forms) {
  return std::ranges::any_of(listener.listen, [&](const ListenAddress& address) {
    return std::ranges::find(forms, address.form) != forms.end();
  });
}

void check_sockets(const Given& given, const Listener& listener) {
  if (listener.listen.empty()) return;
  if (!listens_on(listener, {Form::ipv4, Form::ipv6, Form::systemd, Form::descriptor})) {
    for (const char* key : {"nodelay", "keepalive", "freebind", "device", "ipv6only", "rcvbuf", "sndbuf"}) {
      given.has_no_effect(key, "it listens on Unix sockets only");
    }
    const bool named = listener.proxy.protocol != ProxyProtocol::off;
    for (const char* key : {"allow", "deny", "rules"}) {
      if (!named) given.has_no_effect(key, "clients on Unix sockets have no address");
    }
  } else if (!listens_on(listener, {Form::ipv6})) {
    given.has_no_effect("ipv6only", "it listens on no IPv6 address");
  }
  if (!listens_on(listener, {Form::unix_path})) {
    for (const char* key : {"mode", "owner"}) given.has_no_effect(key, "it makes no Unix socket");
  } else if ((listener.sockets.mode & 0222) == 0) {
    given.warn("mode", "nobody but root can connect: a client needs the permission to write");
  }
}

void check_counts(const Given& given, const Listener& listener) {
  const std::uint32_t most = listener.max_connections;
  if (given.is_number("workers") && listener.workers > most) {
    given.warn("workers", fmt::format("{} for at most {} (max_connections): some are always idle",
                                      counted(listener.workers, "worker"), counted(most, "connection")));
  }
  if (listener.max_connections_per_source.value_or(0) > most) {
    given.has_no_effect("max_connections_per_source", fmt::format("it is above max_connections, which is {}", most));
  }
  const Rate& all = listener.max_connection_rate;
  const Rate& one = listener.max_rate_per_source;
  const bool looser = static_cast<double>(one.count) * static_cast<double>(all.per.count()) >=
                      static_cast<double>(all.count) * static_cast<double>(one.per.count());
  if (all.count != 0 && one.count >= all.count && looser) {
    given.has_no_effect("max_rate_per_source", "max_connection_rate allows all sources together no more");
  }
}

bool tells_sources_apart(const Listener& listener) {
  return listener.max_connections_per_source || listener.max_rate_per_source.count != 0 ||
         listener.penalties.mode != PenaltyMode::off ||
         std::ranges::any_of(listener.rules, [](const Rule& rule) { return rule.max_connections != 0; });
}

void check_sources(const Given& given, const Listener& listener) {
  if (!tells_sources_apart(listener)) given.has_no_effect("source_prefix", "no limit applies to a source");
  const Value* const penalties = given.object("penalties");
  if (penalties == nullptr) return;
  const bool more = std::ranges::any_of(penalties->members, [](const Member& one) { return one.key != "mode"; });
  if (listener.penalties.mode == PenaltyMode::off && more) {
    given.has_no_effect("penalties", "their mode is \"off\"");
  } else if (listener.penalties.mode == PenaltyMode::enforce && listener.penalties.min >= listener.penalties.max) {
    given.has_no_effect("penalties", "they are enforced above min, and none is longer than max");
  }
}

void check_proxy(const Given& given, const Listener& listener) {
  if (listener.proxy.protocol == ProxyProtocol::off) {
    for (const char* key : {"proxy_allow_from", "proxy_timeout"}) given.has_no_effect(key, "proxy_protocol is \"off\"");
  } else if (listener.proxy.allow_from.empty()) {
    given.warn("proxy_allow_from", "no client is served: nobody's PROXY header is trusted");
  }
}

void check_times(const Given& given, const Listener& listener) {
  if (listener.max_lifetime && listener.idle_timeout && *listener.idle_timeout >= *listener.max_lifetime) {
    given.has_no_effect("idle_timeout", "max_lifetime is over before");
  }
}

void check_restarts(const Given& given, const Node& node) {
  const Recycling& recycling = node.listener ? node.listener->recycling : Recycling{};
  if (recycling.max_accepts == 0 && recycling.max_accepts_jitter != 0) {
    given.has_no_effect("max_accepts_jitter", "max_accepts is \"unlimited\"");
  }
  if (!node.spec.flags.max_restarts) given.has_no_effect("max_seconds", "max_restarts is \"unlimited\"");
}

bool is_listed(const std::vector<std::string>& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

void check_child_keys(const Given& given, const ChildKeys& keys) {
  const bool logged = keys.standard_error.value_or(StandardError::log) == StandardError::log;
  if (!logged && given.is_listener()) given.has_no_effect("log_rate_limit", "its standard error is not logged");
  for (const auto& [name, value] : keys.env) {
    if (is_listed(keys.unset_env, name)) given.warn("env", fmt::format("{} is in unset_env too, which wins", name));
  }
  if (given.object("pass_env") == nullptr) return;
  for (const std::string& name : keys.pass_env) {
    if (is_listed(keys.unset_env, name))
      given.warn("pass_env", fmt::format("{} is in unset_env too, which wins", name));
  }
}

void check_readiness(const Given& given, const Process& process) {
  const char* const needed = process.ready == Ready::notify_fd   ? "NOTIFY_FD"
                             : process.ready == Ready::sd_notify ? "NOTIFY_SOCKET"
                                                                 : nullptr;
  if (needed != nullptr && is_listed(process.child.unset_env, needed)) {
    given.blame("unset_env", fmt::format("it never becomes ready without {}", needed));
  }
  const bool at_once = process.ready == Ready::fork && !process.oneshot && process.pre_start.empty();
  if (at_once) given.has_no_effect("start_timeout", "with \"ready\": \"fork\" it is ready at once");
}

void check_reserved(const Given& given, const Config& config) {
  constexpr const char* kKey = "reserved_connections";
  if (!config.max_connections) {
    given.warn(kKey, "it has no effect: max_connections is \"unlimited\"");
  } else if (config.reserved_connections.value_or(0) >= *config.max_connections) {
    given.blame(kKey,
                fmt::format("it leaves no place for other listeners: max_connections is {}", *config.max_connections));
  } else if (config.reserved_connections.value_or(0) != 0 && !has_reserved_listener(config.root)) {
    given.warn(kKey, "it has no effect: no listener is \"reserved\"");
  }
}

// What a child has to end, compared with what its supervisor has to end all of its children.
bool is_longer(const Node& child, Duration whole) {
  if (child.listener) return child.listener->connection_shutdown > whole;
  const Shutdown& shutdown = child.spec.shutdown;
  return shutdown.kind == Shutdown::Kind::infinity ||
         (shutdown.kind == Shutdown::Kind::timeout && shutdown.timeout > whole);
}

bool goes_to_log_daemon(const std::string& target) {
  return target == "syslog" || target == "journald";
}

// A log of its own of this node, or of one below it, goes to a log daemon.
bool any_to_log_daemon(const Node& node) {
  const OwnLog none;
  const OwnLog& own = node.listener ? node.listener->log : node.process ? node.process->log : none;
  return goes_to_log_daemon(own.target.value_or("")) || std::ranges::any_of(node.children, any_to_log_daemon);
}

// Whether lines below this level are written somewhere.
bool any_logs(const Node& node, LogLevel daemon, LogLevel level) {
  const LogLevel own = node.listener ? node.listener->log.level.value_or(daemon) : daemon;
  return own <= level ||
         std::ranges::any_of(node.children, [&](const Node& child) { return any_logs(child, daemon, level); });
}

void check_log(Context& context, const Value& top, const Config& config) {
  const Log& log = config.log;
  const Member* const member = top.find("log");
  if (member == nullptr || member->value.kind != Value::Kind::object) return;
  const Given given(context, {member->value, "/log", member->value.at});
  const bool to_daemon = goes_to_log_daemon(log.target) || any_to_log_daemon(config.root);
  if (log.target_explicit && !to_daemon) {
    for (const char* key : {"facility", "identity"}) given.has_no_effect(key, "the log does not go to a log daemon");
  }
  const bool hidden = !any_logs(config.root, log.level, LogLevel::info) && (log.connection_start || log.connection_end);
  if (hidden) given.has_no_effect("connections", "these lines have the level info, and the log's level is higher");
}

}  // namespace

void check_sense_of_listener(Context& context, const Section& section, const Node& node) {
  const Given given(context, section);
  const Listener& listener = *node.listener;
  check_sockets(given, listener);
  check_counts(given, listener);
  check_sources(given, listener);
  check_proxy(given, listener);
  check_times(given, listener);
  check_restarts(given, node);
  check_child_keys(given, listener.child);
  if (!context.are_all_connections_limited()) {
    given.has_no_effect("reserved", "the daemon's max_connections is \"unlimited\"");
  }
  const bool may_have_no_address = listens_on(listener, {Form::unix_path, Form::unix_abstract});
  check_sense_of_admission(given, listener, !may_have_no_address);
  const bool built_in = std::ranges::all_of(
      listener.handlers, [](const Handler& handler) { return std::holds_alternative<BuiltIn>(handler); });
  if (built_in) given.has_no_effect("normal_exit", "a built-in handler has no exit status");
}

void check_sense_of_process(Context& context, const Section& section, const Node& node) {
  const Given given(context, section);
  const Process& process = *node.process;
  check_child_keys(given, process.child);
  check_readiness(given, process);
  if (process.ready == Ready::fork && (process.child.sandbox.spaces & ipc::kPrivatePids) != 0) {
    given.blame("ready", "with process numbers of its own, whatever a program leaves in the background ends with it");
  }
  if (process.reload_signal != 0 && process.reload_signal == process.stop_signal) {
    given.blame("reload_signal", "it is the stop_signal too, so a reload would end the process");
  }
  if (node.spec.restart != Restart::temporary) return;
  for (const char* key : {"restart_delay", "permanent_failure_exit"}) {
    given.has_no_effect(key, "a temporary child is never started again");
  }
}

void check_sense_of_supervisor(Context& context, const Section& section, const Node& node) {
  const Given given(context, section);
  check_restarts(given, node);
  const bool significant = std::ranges::any_of(node.children, [](const Node& one) { return one.spec.significant; });
  if (node.spec.flags.auto_shutdown != AutoShutdown::never && !significant && !node.children.empty()) {
    given.has_no_effect("auto_shutdown", "none of its children is significant");
  }
  const Shutdown& shutdown = node.spec.shutdown;
  if (shutdown.kind != Shutdown::Kind::timeout) return;
  const auto longer =
      std::ranges::find_if(node.children, [&](const Node& child) { return is_longer(child, shutdown.timeout); });
  if (longer == node.children.end()) return;
  given.warn("shutdown", fmt::format("{} has a longer shutdown, and is killed before it is over", longer->spec.id));
}

void check_sense_of_daemon(Context& context, const Value& top, const Config& config) {
  check_log(context, top, config);
  if (const Member* const member = top.find("daemon"); member != nullptr) {
    const Given given(context, {member->value, "/daemon", member->value.at});
    if (!config.drain_timeout) given.has_no_effect("close_spread", "drain_timeout is \"infinity\"");
    check_reserved(given, config);
  }
  if (const Member* const member = top.find("control"); member != nullptr) {
    const Given given(context, {member->value, "/control", member->value.at});
    if (config.control.group && (config.control.mode & 020) == 0) {
      given.warn("group",
                 fmt::format("its members cannot connect: mode is {:04o}, and they need the permission to write",
                             config.control.mode));
    }
  }
}

}  // namespace bulkhead::config
