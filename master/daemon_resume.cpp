// The other side of an upgrade: in a new program, everything as it was in the one before.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <utility>

#include "master/config/find_node.h"
#include "master/config/host.h"
#include "master/config/paths.h"
#include "master/config/tree_of_config.h"
#include "master/daemon.h"
#include "master/host/clock.h"
#include "master/host/descriptor_limit.h"
#include "master/process/worker_trial.h"
#include "master/supervision/path.h"
#include "master/upgrade/handover_descriptors.h"
#include "worker/ipc/message.h"
#include "worker/log/log.h"

namespace bulkhead {

namespace {

using nlohmann::ordered_json;
using supervision::ChildSpec;
using supervision::NodeType;
using upgrade::Handover;

constexpr std::uint32_t kWorkerStates = 3;  // WorkerProcess::State and ProcessChild::State
constexpr std::uint32_t kLifetimes = 3;     // ipc::Lifetime

// `find` tells the entry at a path. A worker beyond those of the configuration is one that scale has brought.
template <class Find>
std::optional<ChildSpec> spec_of(const std::string& path, NodeType type, const Find& find) {
  if (type == NodeType::worker) {
    const config::Node* const listener = find(supervision::parent_of(path));
    const unsigned long number = std::strtoul(supervision::id_of(path).c_str(), nullptr, 10);
    if (listener == nullptr || number == 0 || std::to_string(number) != supervision::id_of(path)) return std::nullopt;
    return config::worker_spec(static_cast<std::uint32_t>(number), listener->spec.restart_delay);
  }
  const config::Node* const node = find(path);
  return node == nullptr ? std::nullopt : std::optional(config::tree_of_config(*node));
}

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
  return "";
}

template <class Run>
bool is_in(const supervision::Tree& tree, const Run& run) {
  const auto view = tree.node(run.node, now());
  return view && view->path == run.path && view->run == run.run && run.pid > 1 && run.state < kWorkerStates;
}

template <class Find>
std::string check_runs(const Handover& from, const supervision::Tree& tree, const Find& find) {
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
  for (const process::ErrorsHandover& errors : from.errors) {
    const bool known =
        std::ranges::any_of(from.listeners, [&](const auto& one) { return one.path == errors.listener; });
    if (!known || errors.read < 0 || errors.write < 0) return fmt::format("there is no listener {}", errors.listener);
  }
  for (const process::AdoptedHandover& one : from.adoption.adopted) {
    if (one.lifetime >= kLifetimes) return "an adopted connection has an impossible state";
  }
  return "";
}

// Included files are part of the effective configuration already.
std::string without_includes(const std::string& text) {
  ordered_json json = ordered_json::parse(text, nullptr, false);
  if (!json.is_object() || !json.contains("include")) return text;
  json.erase("include");
  return json.dump(2);
}

const config::Node* entry_at(const Blueprint& blueprint, const Handover& from, const std::string& path) {
  const config::Node* found = config::find_node(blueprint.config->root, "root", path);
  for (std::size_t i = blueprint.added.size(); found == nullptr && i > 0; --i) {
    const config::Node& added = blueprint.added[i - 1];
    found = config::find_node(added, from.added[i - 1].supervisor + "/" + added.spec.id, path);
  }
  return found;
}

std::string first_problem(const config::Loaded& loaded) {
  return loaded.problems.empty() ? "" : "the configuration: " + loaded.problems.front().text();
}

}  // namespace

Blueprint blueprint_of(const Handover& from) {
  Blueprint out;
  config::Loaded loaded = config::parse(without_includes(from.config), from.config_file,
                                        config::directory_of(from.config_file), config::patient_host());
  out.problem = first_problem(loaded);
  if (!loaded.config) return out;
  out.config = std::move(loaded.config);
  out.effective = from.config;
  out.config->log.level = static_cast<config::LogLevel>(std::min(from.settled.log_level, 3U));
  out.config->log.target = from.settled.log_target;
  out.config->pid_file = from.settled.pid_file;
  out.config->control.socket = from.settled.control_socket;
  for (const upgrade::AddedChild& one : from.added) {
    config::Loaded added = config::parse(one.text, one.file, one.directory, config::patient_host());
    if (!added.config || added.config->root.children.size() != 1) {
      out.problem = added.config ? "an added child is none" : first_problem(added);
      return out;
    }
    out.added.push_back(std::move(added.config->root.children.front()));
  }
  return out;
}

std::string rehearse_resume(const Handover& from, int pid) {
  if (from.pid != pid) return fmt::format("the state is that of process {}", from.pid);
  if (from.worker_protocol != ipc::kProtocolVersion) {
    return fmt::format("the workers speak version {} of the protocol, and this program version {}",
                       from.worker_protocol, ipc::kProtocolVersion);
  }
  auto programs = process::open_worker_programs();
  if (!programs) return programs.error().text();
  const Blueprint blueprint = blueprint_of(from);
  if (!blueprint.problem.empty()) return blueprint.problem;
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
    if (!problem.empty()) return fmt::format("a worker of it, for {}: {}", one.path, problem);
  }
  return "";
}

std::string DaemonUpgrade::resume(Handover& from, const std::string& rolled_back) {
  previous_version_ = from.version;
  path_ = from.program;
  came_back_ = rolled_back;
  incarnation_ = rolled_back.empty() ? from.incarnation + 1 : from.incarnation;
  const sys::Fd own_program(from.own_program);
  process::WorkerPrograms programs{sys::Fd(from.worker_program), sys::Fd(from.module_worker_program)};
  if (!rolled_back.empty()) daemon_.workers_.set_programs(std::move(programs));
  *last_ = ordered_json::parse(from.last_upgrade, nullptr, false);
  if (last_->is_discarded()) *last_ = nullptr;

  host::resume_descriptor_limit(from.descriptor_limit);
  daemon_.ready_ = true;
  daemon_.generation_ = from.generation;
  daemon_.next_listener_ = from.next_listener;
  daemon_.started_ = from.started;
  daemon_.services_.resume(from.services);
  daemon_.options_.inherited.resume(from.inherited);
  daemon_.events_.resume(std::move(from.events), from.last_seq);
  daemon_.reload_.resume(from.last_reload);
  daemon_.narrator_.resume(from.runs);
  daemon_.workers_.set_generation(from.generation);
  daemon_.workers_.set_incarnation(incarnation_);
  std::string problem = resume_children(from);
  if (!problem.empty()) return problem;
  replies_ = daemon_.server_->resume(daemon_.config_->control, from.control);
  return "";
}

std::string DaemonUpgrade::resume_children(const Handover& from) {
  Blueprint blueprint = blueprint_of(from);
  for (std::size_t i = 0; i < blueprint.added.size(); ++i) {
    daemon_.control_.resume_added(std::move(blueprint.added[i]), from.added[i]);
  }
  const auto find = [this](const std::string& path) {
    const config::Node* const found = config::find_node(daemon_.config_->root, "root", path);
    return found != nullptr ? found : daemon_.control_.find_added(path);
  };
  std::string problem = daemon_.tree_.restore(
      from.tree, [&](const std::string& path, NodeType type) { return spec_of(path, type, find); });
  for (const net::ListenerHandover& listener : from.listeners) {
    if (problem.empty()) problem = resume_listener(listener);
  }
  if (!problem.empty()) return problem;
  std::vector<net::Listener*> listeners;
  for (const auto& [path, listener] : daemon_.listeners_) listeners.push_back(listener.get());
  for (const process::WorkerHandover& worker : from.workers) {
    daemon_.workers_.resume(worker, *daemon_.listener_at(supervision::parent_of(worker.path)));
  }
  for (const process::ErrorsHandover& errors : from.errors) {
    const net::Listener& listener = *daemon_.listener_at(errors.listener);
    daemon_.errors_.resume(errors, listener);
    if (!daemon_.workers_.has(listener, errors.index)) daemon_.errors_.worker_gone(listener, errors.index);
  }
  for (const process::ProcessHandover& child : from.processes) {
    daemon_.processes_.resume(child, *find(child.path)->process);
  }
  for (const process::RemainsHandover& remains : from.remains) daemon_.processes_.resume(remains, now());
  daemon_.adoption_.resume(listeners, from.adoption);
  return "";
}

std::string DaemonUpgrade::resume_listener(const net::ListenerHandover& from) {
  const config::Node* found = config::find_node(daemon_.config_->root, "root", from.path);
  if (found == nullptr) found = daemon_.control_.find_added(from.path);
  auto& listener = daemon_.listeners_[from.path] =
      std::make_unique<net::Listener>(from.number, from.path, *found->listener, daemon_.options_.inherited);
  listener->source = found;
  const auto error = listener->resume(from);
  return error ? error->text() : "";
}

void DaemonUpgrade::resumed() {
  daemon_.services_.ready();
  if (!came_back_.empty()) return rolled_back(came_back_);
  stage_ = Stage::renewing;
  daemon_.choose_signals();
  done();
  renewal_.begin(incarnation_, [this](const std::string& problem) { renewed(problem); });
}

// Whatever the problem, there are workers: not one of those before has left where ours do not start.
void DaemonUpgrade::renewed(const std::string& problem) {
  if (stage_ != Stage::renewing) return;
  if (problem.empty()) {
    return finish({ordered_json{{"ok", true}, {"version", daemon_.options_.version}, {"previous", previous_version_}},
                   std::nullopt});
  }
  log::Line(log::Level::error, "root").text("upgraded, but not all workers: ").text(problem).write();
  remember(problem);
  finish(refused(problem));
}

std::string Daemon::resume(Handover& from, const std::string& rolled_back) {
  processes_.set_error_fd(log_.handlers.get());
  auto error = become_subreaper();
  if (!error && rolled_back.empty()) error = workers_.find_program();
  if (error) return error->text();
  server_ = std::make_unique<control::Server>(loop_, events_, control_);
  return upgrade_.resume(from, rolled_back);
}

int Daemon::run_on() {
  start();
  store_sockets();
  upgrade_.resumed();
  reap();
  loop_.run();
  return status_;
}

}  // namespace bulkhead
