#include "master/upgrade/rehearsal.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <utility>

#include "master/config/find_node.h"
#include "master/config/host.h"
#include "master/config/tree_of_config.h"
#include "master/host/clock.h"
#include "master/process/worker_trial.h"
#include "master/process/workers.h"
#include "master/supervision/path.h"
#include "master/supervision/tree.h"
#include "worker/ipc/limits.h"
#include "worker/ipc/message.h"
#include "worker/ipc/slot.h"
#include "worker/sys/enum_words.h"

namespace bulkhead::upgrade {

namespace {

using supervision::ChildSpec;
using supervision::NodeType;

std::string check_listener(const net::ListenerHandover& from, const config::Node* node) {
  if (node == nullptr || !node->listener) return fmt::format("there is no listener {}", from.path);
  if (from.number >= ipc::kMaxListeners || from.next_socket > 0xffff) return from.path + " has an impossible number";
  for (const net::SocketHandover& socket : from.sockets) {
    const auto& listen = node->listener->listen;
    const bool known = std::ranges::any_of(listen, [&](const auto& one) { return one.text == socket.address; });
    if (!known || socket.number > 0xffff || socket.fd < 0 || from.table < 0) {
      return fmt::format("{} cannot listen at {}", from.path, socket.address);
    }
  }
  const bool fits = from.room <= ipc::kMaxConnections && from.most_slots <= from.room &&
                    from.max_connections <= from.room && from.rate_count <= ipc::kMaxRate && from.rate_per_ns >= 0;
  return fits ? "" : from.path + " has an impossible table";
}

template <class Run>
bool is_in(const supervision::Tree& tree, const Run& run) {
  const auto view = tree.node(run.node, now());
  return view && view->path == run.path && view->run == run.run && run.pid > 1 &&
         run.state < sys::up_to(process::RunState::leaving);
}

template <class Connection>
bool has_slot(const Handover& from, const Connection& one) {
  return std::ranges::any_of(from.listeners, [&one](const net::ListenerHandover& listener) {
    return listener.path == one.listener && listener.table >= 0 && one.slot < listener.room;
  });
}

std::string check_runs(const Handover& from, const supervision::Tree& tree, const FindEntry& find) {
  for (const process::WorkerHandover& worker : from.workers) {
    const bool known = std::ranges::any_of(from.listeners, [&](const auto& one) {
      return one.path == supervision::parent_of(worker.path) && one.table >= 0;
    });
    if (!known || !is_in(tree, worker) || worker.channel < 0) return fmt::format("there is no worker {}", worker.path);
  }
  for (const process::ProcessHandover& child : from.processes) {
    const config::Node* const node = find(child.path);
    if (node == nullptr || !node->process || !is_in(tree, child)) {
      return fmt::format("there is no process {}", child.path);
    }
  }
  const auto is_listener = [&from](const std::string& path) {
    return std::ranges::any_of(from.listeners, [&path](const auto& one) { return one.path == path; });
  };
  for (const process::ForgiveHandover& one : from.forgive) {
    if (!is_listener(one.listener)) return fmt::format("there is no listener {}", one.listener);
  }
  for (const process::ErrorsHandover& errors : from.errors) {
    const bool known = is_listener(errors.listener);
    if (!known || errors.read < 0 || errors.write < 0) return fmt::format("there is no listener {}", errors.listener);
  }
  for (const process::AdoptedHandover& one : from.adoption.adopted) {
    if (one.lifetime >= sys::up_to(ipc::Lifetime::killed) ||
        one.cause >= static_cast<std::uint32_t>(ipc::EndCause::count_) || one.pid <= 1 || !has_slot(from, one)) {
      return "an adopted connection has an impossible state";
    }
  }
  for (const process::LingeringHandover& one : from.adoption.lingering) {
    if (one.group <= 1 || !has_slot(from, one)) return "a connection that ends has an impossible state";
  }
  return "";
}

std::string check_overrides(const running::OverridesRecord& from) {
  const auto is_wrong = [](const running::ScaledRecord& one) {
    return one.workers < 1 || one.workers > ipc::kMaxWorkers;
  };
  const auto wrong = std::ranges::find_if(from.scaled, is_wrong);
  return wrong == from.scaled.end() ? "" : wrong->path + " has an impossible number of workers";
}

const config::Node* entry_in(const std::vector<config::Node>& nodes, const std::vector<running::AddedChild>& origins,
                             const std::string& path) {
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const std::string at = supervision::child_of(origins[i].supervisor, nodes[i].spec.id);
    if (const config::Node* found = config::find_node(nodes[i], at, path)) return found;
  }
  return nullptr;
}

const config::Node* entry_at(const Blueprint& blueprint, const Handover& from, const std::string& path) {
  const config::Node* found = entry_in(blueprint.leaving, from.leaving, path);
  if (found == nullptr) found = config::find_node(blueprint.config->root, "root", path);
  return found == nullptr ? entry_in(blueprint.added, from.added, path) : found;
}

std::string first_problem(const config::Loaded& loaded) {
  return loaded.problems.empty() ? "" : "the configuration: " + loaded.problems.front().text();
}

// Children outside of the configuration. Returns the problem.
std::string read_children(const std::vector<running::AddedChild>& origins, const Handover& from,
                          std::vector<config::Node>& out) {
  for (const running::AddedChild& one : origins) {
    config::Loaded loaded = config::parse(one.text, one.file, one.directory, config::patient_host());
    if (!loaded.config) return first_problem(loaded);
    if (loaded.config->root.children.size() != 1) {
      return "the configuration of an added child does not contain one child";
    }
    config::Node& node = loaded.config->root.children.front();
    put_identities(node, supervision::child_of(one.supervisor, node.spec.id), from.identities);
    put_variables(node, supervision::child_of(one.supervisor, node.spec.id), from.variables);
    out.push_back(std::move(node));
  }
  return "";
}

}  // namespace

// A worker that is not in the configuration was added by `scale`.
std::optional<ChildSpec> spec_of(const std::string& path, NodeType type, const FindEntry& find) {
  if (type == NodeType::worker) {
    const config::Node* const listener = find(supervision::parent_of(path));
    const std::string id = supervision::id_of(path);
    const unsigned long number = std::strtoul(id.c_str(), nullptr, 10);
    if (listener == nullptr || number == 0 || std::to_string(number) != id) return std::nullopt;
    return config::worker_spec(static_cast<std::uint32_t>(number), listener->spec.restart_delay);
  }
  const config::Node* const node = find(path);
  return node == nullptr ? std::nullopt : std::optional(config::tree_of_config(*node));
}

Blueprint blueprint_of(const Handover& from) {
  Blueprint out;
  config::Loaded loaded = running::read_effective(from.config, from.config_file);
  out.problem = first_problem(loaded);
  if (!loaded.config) return out;
  out.config = std::move(loaded.config);
  out.effective = from.config;
  out.config->log.level = static_cast<config::LogLevel>(std::min(from.settled.log_level, 3U));
  out.config->log.target = from.settled.log_target;
  out.config->pid_file = from.settled.pid_file;
  out.config->control.socket = from.settled.control_socket;
  put_identities(out.config->root, "root", from.identities);
  put_variables(out.config->root, "root", from.variables);
  out.problem = read_children(from.added, from, out.added);
  if (out.problem.empty()) out.problem = read_children(from.leaving, from, out.leaving);
  return out;
}

// Whether it can be read has been found out by the rehearsal.
std::optional<reload::Unconfirmed> unconfirmed_of(const Handover& from) {
  if (!from.unconfirmed) return std::nullopt;
  const UnconfirmedHandover& one = *from.unconfirmed;
  config::Loaded loaded = running::read_effective(one.config, from.config_file);
  if (!loaded.config) return std::nullopt;
  const auto config = std::make_shared<config::Config>(std::move(*loaded.config));
  put_identities(config->root, "root", one.identities);
  put_variables(config->root, "root", one.variables);
  return reload::Unconfirmed{{one.config, config}, one.limit, one.until};
}

std::string rehearse_resume(const Handover& from, int pid) {
  if (from.pid != pid) return fmt::format("the state is that of process {}", from.pid);
  if (from.worker_protocol != ipc::kProtocolVersion) {
    return fmt::format("the workers use protocol version {}, and this program uses version {}", from.worker_protocol,
                       ipc::kProtocolVersion);
  }
  auto programs = process::open_worker_programs();
  if (!programs) return programs.error().text();
  const Blueprint blueprint = blueprint_of(from);
  if (!blueprint.problem.empty()) return blueprint.problem;
  if (from.unconfirmed && !unconfirmed_of(from)) return "the configuration that is to come back cannot be read";
  const auto find = [&](const std::string& path) { return entry_at(blueprint, from, path); };
  supervision::Tree tree(config::tree_of_config(blueprint.config->root));
  std::string problem =
      tree.restore(from.tree, [&](const std::string& path, NodeType type) { return spec_of(path, type, find); });
  for (const net::ListenerHandover& listener : from.listeners) {
    if (problem.empty()) problem = check_listener(listener, find(listener.path));
    if (problem.empty() && config::has_modules(*find(listener.path)->listener) && !programs->modules) {
      problem = listener.path + " has modules, and there is no bulkhead-module-worker";
    }
  }
  if (problem.empty()) problem = check_overrides(from.overrides);
  return problem.empty() ? check_runs(from, tree, find) : problem;
}

std::string rehearse_workers(const Handover& from) {
  const Blueprint blueprint = blueprint_of(from);
  bool any = false;
  for (const net::ListenerHandover& one : from.listeners) {
    const config::Listener& listener = *entry_at(blueprint, from, one.path)->listener;
    const bool modules = config::has_modules(listener);
    if (any && !modules) continue;
    any = any || !modules;
    const std::string problem = process::try_worker(one.path, listener, blueprint.config->log);
    if (!problem.empty()) return fmt::format("its worker program, for {}: {}", one.path, problem);
  }
  return "";
}

}  // namespace bulkhead::upgrade
