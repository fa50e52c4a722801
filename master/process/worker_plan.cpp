#include "master/process/worker_plan.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "worker/ipc/plan.h"

namespace bulkhead::process {

namespace {

// What an exec'd handler inherits of our environment; all else is left behind (bulkhead.json(5), pass_env).
std::vector<std::string> passed_environment() {
  std::vector<std::string> out;
  for (const char* name : {"PATH", "TZ", "LANG"}) {
    if (const char* value = std::getenv(name); value != nullptr) out.push_back(fmt::format("{}={}", name, value));
  }
  return out;
}

void set_handler(ipc::PlanBuilder& plan, const config::Handler& handler) {
  if (const auto* exec = std::get_if<config::ExecHandler>(&handler); exec != nullptr) {
    plan.header.handler = ipc::HandlerKind::exec;
    plan.header.style = exec->style == config::ExecStyle::inetd ? ipc::HandlerStyle::inetd : ipc::HandlerStyle::ucspi;
    plan.strings(&ipc::PlanHeader::argv, exec->argv);
    plan.strings(&ipc::PlanHeader::environment, passed_environment());
    plan.strings(&ipc::PlanHeader::handler_name, {std::filesystem::path(exec->argv[0]).filename()});
    return;
  }
  plan.header.handler = ipc::HandlerKind::echo;
  plan.strings(&ipc::PlanHeader::argv, {});
  plan.strings(&ipc::PlanHeader::environment, {});
  plan.strings(&ipc::PlanHeader::handler_name, {"echo"});
}

void set_sockets(ipc::PlanBuilder& plan, const net::Listener& listener) {
  std::vector<std::string> names;
  for (const net::ListeningSocket& socket : listener.sockets()) {
    const std::uint32_t at = plan.header.sockets++;
    plan.header.local[at] = socket.local;
    plan.header.wildcard[at] = socket.wildcard ? 1 : 0;
    names.push_back(socket.address.path);
  }
  plan.strings(&ipc::PlanHeader::socket_names, names);
}

bool set_identity(ipc::PlanHeader& header, const std::optional<config::Identity>& identity) {
  if (!identity) return true;
  // Never with fewer groups than configured: a handler would be less confined, or less able, than it was meant to be.
  if (identity->groups.size() > ipc::kMaxGroups) return false;
  header.has_identity = 1;
  header.uid = identity->uid;
  header.gid = identity->gid;
  for (const std::uint32_t group : identity->groups) header.groups[header.group_count++] = group;
  return true;
}

}  // namespace

sys::Result<sys::Fd> make_worker_plan(const net::Listener& listener, std::uint32_t index, supervision::RunId run,
                                      std::uint32_t generation, const config::Log& log) {
  ipc::PlanBuilder plan;
  ipc::PlanHeader& header = plan.header;
  header.listener = listener.number();
  header.worker = index;
  header.generation = generation;
  header.run = run;
  header.log_format = static_cast<std::uint32_t>(log.format);
  header.log_level = static_cast<std::uint32_t>(log.level);
  header.log_connection_start = log.connection_start ? 1 : 0;
  header.log_connection_end = log.connection_end ? 1 : 0;
  header.suspended = listener.suspended ? 1 : 0;
  header.shutdown_ns = listener.config().connection_shutdown.count();
  if (!set_identity(header, listener.config().identity))
    return sys::Error{"plan", "too many groups of the user", E2BIG};
  set_handler(plan, listener.config().handler);
  set_sockets(plan, listener);
  const std::string& path = listener.path();
  plan.strings(&ipc::PlanHeader::listener_path, {path});
  plan.strings(&ipc::PlanHeader::title, {fmt::format("worker {}/{}", path.substr(path.rfind('/') + 1), index)});
  return plan.seal();
}

}  // namespace bulkhead::process
