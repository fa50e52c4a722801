#include "master/process/worker_plan.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "master/config/descriptor_need.h"
#include "master/config/option_table.h"
#include "master/host/descriptor_limit.h"
#include "master/process/child_environment.h"
#include "master/process/confinement.h"
#include "master/process/credentials.h"
#include "master/process/recycling.h"
#include "master/process/source_rules.h"
#include "master/sandbox/filter.h"
#include "worker/admission/pipeline.h"
#include "worker/ipc/plan.h"
#include "worker/ipc/slot.h"

namespace bulkhead::process {

namespace {

constexpr std::int32_t kOomScoreAdj = 500;  // connections are killed before what they depend on

constexpr std::array kStyles{std::pair{config::ExecStyle::ucspi, ipc::HandlerStyle::ucspi},
                             std::pair{config::ExecStyle::inetd, ipc::HandlerStyle::inetd},
                             std::pair{config::ExecStyle::listen_fds, ipc::HandlerStyle::listen_fds}};

// The enumerators of both sides are in the same order; the table above checks that.
template <class From, class To, std::size_t N>
constexpr bool in_order(const std::array<std::pair<From, To>, N>& rows) {
  for (std::size_t i = 0; i < N; ++i) {
    if (static_cast<std::size_t>(rows[i].first) != i || static_cast<std::size_t>(rows[i].second) != i) return false;
  }
  return true;
}
static_assert(in_order(kStyles));

// The variables of a program that connections execute. The variables of a program's own rule override them.
std::vector<std::string> environment_of(const config::Listener& listener, std::size_t handler) {
  config::ChildKeys keys = listener.child;
  for (const config::Rule& rule : listener.rules) {
    if (handler != 0 && rule.handler == handler) keys.env.insert(keys.env.end(), rule.env.begin(), rule.env.end());
  }
  return lines_of(connection_environment(keys, std::getenv));
}

std::int64_t nanoseconds(const config::Timeout& timeout) {
  return timeout ? timeout->count() : 0;
}

// Of the connections of a rule; null: of all others.
ipc::PlanTimes times_of(const config::Listener& listener, const config::Rule* rule) {
  const config::Handler& handler = listener.handlers[rule != nullptr ? rule->handler : 0];
  const bool built_in = std::holds_alternative<config::BuiltIn>(handler);
  ipc::PlanTimes out{nanoseconds(listener.max_lifetime),
                     nanoseconds(built_in ? listener.idle_timeout : listener.program_idle_timeout),
                     nanoseconds(listener.first_byte_timeout)};
  if (rule == nullptr) return out;
  if (rule->max_lifetime) out.max_lifetime_ns = nanoseconds(*rule->max_lifetime);
  if (rule->idle_timeout) out.idle_timeout_ns = nanoseconds(*rule->idle_timeout);
  if (rule->first_byte_timeout) out.first_byte_ns = nanoseconds(*rule->first_byte_timeout);
  return out;
}

bool watches(const config::Listener& listener) {
  const auto looks = [&listener](const config::Rule* rule) {
    const ipc::PlanTimes times = times_of(listener, rule);
    const config::Handler& handler = listener.handlers[rule != nullptr ? rule->handler : 0];
    const bool own_idle = std::holds_alternative<config::BuiltIn>(handler);
    return (times.idle_timeout_ns != 0 && !own_idle) || times.first_byte_ns != 0;
  };
  return listener.on_client_gone != config::OnClientGone::leave ||
         listener.on_full == config::OnFull::drop_oldest_idle || looks(nullptr) ||
         std::ranges::any_of(listener.rules,
                             [&](const config::Rule& rule) { return rule.max_lifetime.has_value() || looks(&rule); });
}

ipc::PlanHandler plan_of(ipc::PlanBuilder& plan, const config::Listener& listener, std::size_t number) {
  const config::Handler& handler = listener.handlers[number];
  ipc::PlanHandler out;
  out.name = plan.strings({config::name_of(handler)});
  if (std::holds_alternative<config::BuiltIn>(handler)) {
    out.kind = ipc::HandlerKind::built_in;
    out.argv = out.environment = plan.strings({});
    return out;
  }
  if (const auto* module = std::get_if<config::ModuleHandler>(&handler); module != nullptr) {
    out.kind = ipc::HandlerKind::module;
    out.argv = plan.strings({module->path, module->options});
  } else {
    const auto& exec = std::get<config::ExecHandler>(handler);
    out.kind = ipc::HandlerKind::exec;
    out.style = static_cast<ipc::HandlerStyle>(exec.style);
    std::vector<std::string> program = exec.argv;
    program.insert(program.begin() + 1, exec.arg0.empty() ? exec.argv.front() : exec.arg0);
    out.argv = plan.strings(program);
    out.drain_notice = exec.drain_fd ? 1 : 0;
  }
  out.socket_as_error = standard_error_of(listener, handler) == config::StandardError::socket ? 1 : 0;
  out.environment = plan.strings(environment_of(listener, number));
  return out;
}

bool set_handlers(ipc::PlanBuilder& plan, const config::Listener& listener) {
  if (listener.handlers.size() > ipc::kMaxHandlers) return false;
  for (std::size_t i = 0; i < listener.handlers.size(); ++i) {
    plan.header.handlers[plan.header.handler_count++] = plan_of(plan, listener, i);
  }
  return true;
}

static_assert(config::kMaxSocketsOfListener <= ipc::kMaxSockets);

void set_sockets(ipc::PlanBuilder& plan, const net::Listener& listener) {
  std::vector<std::string> names;
  for (const net::ListeningSocket& socket : listener.sockets()) {
    const std::uint32_t at = plan.header.sockets++;
    plan.header.socket_numbers[at] = socket.number;
    plan.header.local[at] = socket.local;
    if (socket.local.family == AF_UNIX) plan.header.local[at].port = socket.number;  // see Peer::port
    plan.header.wildcard[at] = socket.wildcard ? 1 : 0;
    names.push_back(socket.path);
  }
  plan.header.socket_names = plan.strings(names);
}

ipc::PlanPrefixes prefixes_of(ipc::PlanBuilder& plan, const std::vector<admission::Prefix>& prefixes,
                              std::uint32_t otherwise) {
  ipc::PlanPrefixes out;
  out.v4 = plan.array<admission::Range>(admission::compile(prefixes, false, otherwise));
  out.v6 = plan.array<admission::Range>(admission::compile(prefixes, true, otherwise));
  out.otherwise = otherwise;
  return out;
}

std::vector<admission::Prefix> prefixes_of(const std::vector<config::Network>& networks) {
  std::vector<admission::Prefix> out;
  for (const config::Network& network : networks) {
    out.push_back({{network.v6, network.high, network.low}, network.length, 0});
  }
  return out;
}

// "proxy_protocol is v2, proxy_allow_from is 127.0.0.0/8 ::1/128"; a long list is cut.
std::string proxy_words(const config::Proxy& proxy) {
  constexpr std::size_t kMost = 8;
  std::string from;
  for (std::size_t i = 0; i < std::min(proxy.allow_from.size(), kMost); ++i) from += " " + proxy.allow_from[i].text;
  if (proxy.allow_from.empty()) from = " empty";
  if (proxy.allow_from.size() > kMost) from += " ...";
  return fmt::format("proxy_protocol is {}, proxy_allow_from is{}", config::kProxyProtocolWords.text(proxy.protocol),
                     from);
}

// The reason for each refusal, with the value in effect: worker/refusals.h writes it to the log.
std::vector<std::string> refusal_words(const config::Listener& listener) {
  std::vector<std::string> out(ipc::kRefusals);
  const auto set = [&out](ipc::Refusal reason, std::string words) {
    out[static_cast<std::size_t>(reason)] = std::move(words);
  };
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = ipc::refusal_text(static_cast<ipc::Refusal>(i));
  set(ipc::Refusal::denied, "");   // the worker names the network
  set(ipc::Refusal::penalty, "");  // and everything that depends on the source
  set(ipc::Refusal::per_source, "");
  set(ipc::Refusal::rate_per_source, "");
  set(ipc::Refusal::proxy, proxy_words(listener.proxy));
  set(ipc::Refusal::proxy_timeout, fmt::format("proxy_timeout is {}", config::span_text(listener.proxy.timeout)));
  set(ipc::Refusal::rate, "max_connection_rate is ");  // these three may change under a worker: it adds the value
  set(ipc::Refusal::max_connections, "max_connections is ");
  set(ipc::Refusal::daemon_max, "daemon.max_connections is ");
  set(ipc::Refusal::handler_start, "its handler could not be started");
  return out;
}

std::uint64_t limit_of_worker(const config::Listener& listener) {
  return needs_raised_limit(listener) ? host::descriptor_limit() : host::original_descriptor_limit();
}

void set_proxy(ipc::PlanBuilder& plan, const config::Listener& listener) {
  ipc::PlanProxy& proxy = plan.header.proxy;
  proxy.versions = static_cast<std::uint32_t>(listener.proxy.protocol);
  proxy.room = config::header_room(listener, limit_of_worker(listener));
  proxy.timeout_ns = listener.proxy.timeout.count();
  const auto senders = admission::access_prefixes(prefixes_of(listener.proxy.allow_from), {});
  proxy.senders = prefixes_of(plan, senders.prefixes, static_cast<std::uint32_t>(senders.otherwise));
}

void set_rules(ipc::PlanBuilder& plan, const config::Listener& listener) {
  std::vector<admission::Prefix> prefixes;
  std::vector<ipc::PlanRule> list;
  for (const config::Rule& rule : listener.rules) {
    const std::uint32_t value = admission::rule_value(static_cast<std::uint32_t>(list.size()), rule.deny);
    for (admission::Prefix prefix : prefixes_of(rule.from)) {
      prefix.value = value;
      prefixes.push_back(prefix);
    }
    ipc::PlanRule out;
    out.handler = rule.handler;
    out.max_connections = rule.max_connections;
    out.own_rate = rule.max_rate_per_source ? 1 : 0;
    if (rule.max_rate_per_source) out.rate = rate_of(*rule.max_rate_per_source);
    out.without_rate = rule.without_rate ? 1 : 0;
    out.times = times_of(listener, &rule);
    list.push_back(out);
  }
  plan.header.rules = prefixes_of(plan, prefixes, admission::kNoRuleValue);
  plan.header.rule_list = plan.array<ipc::PlanRule>(list);
}

void set_admission(ipc::PlanBuilder& plan, const config::Listener& listener) {
  std::optional<std::vector<admission::Prefix>> allow;
  if (listener.allow) allow = prefixes_of(*listener.allow);
  const auto access = admission::access_prefixes(allow, prefixes_of(listener.deny));
  plan.header.access = prefixes_of(plan, access.prefixes, static_cast<std::uint32_t>(access.otherwise));
  set_rules(plan, listener);
  plan.header.sources = source_rules(listener);
  const bool by_rule = std::any_of(listener.rules.begin(), listener.rules.end(), [](const config::Rule& rule) {
    return rule.max_connections != 0 || rule.max_rate_per_source.has_value();
  });
  plan.header.asks_sources = by_rule || !plan.header.sources.none() ? 1 : 0;
  std::vector<admission::Prefix> exempt = prefixes_of(listener.penalties.exempt);
  for (admission::Prefix& prefix : exempt) prefix.value = 1;
  plan.header.exempt = prefixes_of(plan, exempt, 0);
  plan.header.normal_exit = normal_exits(listener);
  plan.header.on_full = static_cast<ipc::OnFull>(listener.on_full);
  set_proxy(plan, listener);
  plan.header.banner = plan.strings({listener.banner});
  plan.header.banner_fail = plan.strings({listener.banner_fail});
  plan.header.refusal_words = plan.strings(refusal_words(listener));
}

void set_log(ipc::PlanBuilder& plan, const PlanOfLog& how) {
  const config::Log& log = how.config;
  plan.header.log_format = static_cast<std::uint32_t>(log.format);
  plan.header.log_level = static_cast<std::uint32_t>(log.level);
  plan.header.log_transport = static_cast<std::uint32_t>(how.transport);
  plan.header.log_facility = log.facility;
  plan.header.log_addresses = static_cast<std::uint32_t>(log.addresses);
  plan.header.log_identity = plan.strings({log.identity});
  plan.header.log_connection_start = log.connection_start ? 1 : 0;
  plan.header.log_connection_end = log.connection_end ? 1 : 0;
  plan.header.captures_errors = how.captures_errors ? 1 : 0;
}

void set_sandbox(ipc::PlanBuilder& plan, const sandbox::Policy& policy) {
  const sandbox::Programs programs = sandbox::compile(policy);
  ipc::PlanSandbox& out = plan.header.sandbox;
  out.of_worker = plan.array(std::span(programs.of_worker));
  out.of_child = plan.array(std::span(programs.of_child));
  out.read = plan.strings(policy.files.read);
  out.write = plan.strings(policy.files.write);
  out.execute = plan.strings(policy.files.execute);
  out.others_readable = policy.files.others_readable ? 1 : 0;
  out.connect = plan.array(std::span(policy.ports.connect));
  out.bind = plan.array(std::span(policy.ports.bind));
}

// Programs of connections get the limit that the worker would have had, unless they have one of their own.
void give_back_limit(ipc::Confinement& confinement) {
  const ipc::ResourceLimit* const begin = confinement.limits;
  const bool own = std::any_of(begin, begin + confinement.limit_count,
                               [](const ipc::ResourceLimit& limit) { return limit.resource == RLIMIT_NOFILE; });
  if (!own) confinement.soft_descriptors = host::original_descriptor_limit();
}

}  // namespace

bool needs_raised_limit(const config::Listener& listener) {
  return config::worker_need(listener) > host::original_descriptor_limit();
}

config::StandardError standard_error_of(const config::Listener& listener, const config::Handler& handler) {
  const auto* exec = std::get_if<config::ExecHandler>(&handler);
  const bool inetd = exec != nullptr && exec->style == config::ExecStyle::inetd;
  return listener.child.standard_error.value_or(inetd ? config::StandardError::socket : config::StandardError::log);
}

ipc::OnClientGone on_client_gone(const config::Listener& listener) {
  return static_cast<ipc::OnClientGone>(listener.on_client_gone);
}

ipc::ExitStatuses normal_exits(const config::Listener& listener) {
  ipc::ExitStatuses out{{}};
  for (const std::uint8_t status : listener.normal_exit) out.add(status);
  return out;
}

bool captures_errors(const config::Listener& listener) {
  return std::any_of(listener.handlers.begin(), listener.handlers.end(), [&](const config::Handler& handler) {
    return !std::holds_alternative<config::BuiltIn>(handler) &&
           standard_error_of(listener, handler) == config::StandardError::log;
  });
}

sys::Result<sys::Fd> make_worker_plan(const net::Listener& listener, std::uint32_t index, supervision::RunId run,
                                      std::uint32_t generation, const PlanOfLog& how) {
  config::Listener config = listener.config();
  config.child = with_credentials(listener.path(), config.child);
  const config::ChildKeys& keys = config.child;
  auto confinement = confinement_of(keys);
  if (!confinement) return confinement.error();
  if (keys.sandbox.preset != sandbox::Preset::none) confinement->least_oom_score_adj = kOomScoreAdj;
  ipc::PlanBuilder plan;
  ipc::PlanHeader& header = plan.header;
  header.listener = listener.number();
  header.worker = index;
  header.generation = generation;
  header.run = run;
  set_log(plan, how);
  header.table_room = listener.table().room().slots;
  header.table_first_use = listener.table().room().first_use;
  header.limits = listener.limits();
  header.suspended = listener.gate().accepting() ? 0 : 1;
  header.log_rate_limit = keys.log_rate_limit.value_or(0);
  header.has_drain = config::has_drain_notice(listener.config()) ? 1 : 0;
  header.kill_group = keys.kill_mode == config::KillMode::group ? 1 : 0;
  header.times = times_of(listener.config(), nullptr);
  header.watches = watches(listener.config()) ? 1 : 0;
  header.count_bytes = listener.config().count_bytes ? 1 : 0;
  header.stop_signal = listener.config().stop_signal;
  header.on_client_gone = on_client_gone(listener.config());
  header.shutdown_ns = listener.config().connection_shutdown.count();
  header.confinement = *confinement;
  set_sandbox(plan, keys.sandbox);
  if (needs_raised_limit(listener.config())) give_back_limit(header.confinement);
  header.root = plan.strings({keys.chroot});
  header.directory = plan.strings({keys.chdir});
  header.left_out = plan.strings(keys.unset_env);
  if (!set_handlers(plan, config)) return sys::Error{"plan", "too many handlers", E2BIG};
  set_sockets(plan, listener);
  set_admission(plan, listener.config());
  header.wear = draw_wear(listener.config().recycling);
  const std::string& path = listener.path();
  header.listener_path = plan.strings({path});
  header.title = plan.strings({fmt::format("worker {}/{}", path.substr(path.rfind('/') + 1), index)});
  return plan.seal();
}

}  // namespace bulkhead::process
