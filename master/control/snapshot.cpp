#include "master/control/snapshot.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <nlohmann/json.hpp>

#include "master/host/clock.h"
#include "master/supervision/path.h"
#include "master/supervision/words.h"

namespace bulkhead::control {

namespace {

using nlohmann::ordered_json;
using namespace supervision;

double seconds(Duration span) {
  return std::chrono::duration<double>(span).count();
}

struct Totals {
  ordered_json json;
  void add(const ordered_json& other) {
    for (const auto& [key, value] : other.items()) {
      if (value.is_object()) {
        ordered_json& sums = json[key];
        if (sums.is_null()) sums = ordered_json::object();
        for (const auto& [reason, count] : value.items()) {
          sums[reason] = sums.value(reason, std::uint64_t{0}) + count.get<std::uint64_t>();
        }
      } else {
        json[key] = json.value(key, std::uint64_t{0}) + value.get<std::uint64_t>();
      }
    }
  }
};

ordered_json counts_json(const ipc::Counts& counts, std::uint32_t adopted) {
  ordered_json refused = ordered_json::object();
  for (std::size_t i = 0; i < ipc::kRefusals; ++i) {
    refused[std::string(ipc::refusal_text(static_cast<ipc::Refusal>(i)))] = counts.refused[i];
  }
  return {{"active", counts.serving},      {"adopted", adopted},        {"accepted", counts.completed + counts.serving},
          {"completed", counts.completed}, {"crashed", counts.crashed}, {"client_gone", counts.client_gone},
          {"refused", std::move(refused)}};
}

// Of a process that has been asked to end.
std::optional<double> killed_in(const NodeView& view) {
  const Shutdown& limit = view.spec->shutdown;
  if (view.state != NodeState::stopping || limit.kind != Shutdown::Kind::timeout) return std::nullopt;
  return std::max(0.0, seconds(view.since + limit.timeout - now()));
}

void add_leaf(const World& world, const NodeView& view, ordered_json& out) {
  const bool alive =
      view.state == NodeState::running || view.state == NodeState::stopping || view.state == NodeState::starting;
  if (!alive) return;
  const auto run = world.children.view(view.run);
  if (!run) return;
  if (run->waits_for_group) return;
  out["pid"] = run->pid;
  const config::Node* const node = view.spec->type == NodeType::process ? world.catalogue.at(view.spec->tag) : nullptr;
  if (node != nullptr && node->process) out["uid"] = uid_of(node->process->child);
  if (const auto left = killed_in(view)) out["killed_in_seconds"] = *left;
  if (!run->status.empty()) out["status"] = run->status;
}

// Paths of nodes, and what operators have made different about them.
using Differences = std::map<std::string, std::vector<reload::Difference>>;

Differences by_path(const std::vector<reload::Difference>& all) {
  Differences out;
  for (const reload::Difference& one : all) out[one.path].push_back(one);
  return out;
}

void add_differences(const std::vector<reload::Difference>& differences, ordered_json& out) {
  for (const reload::Difference& one : differences) {
    out["differs"].push_back(reload::kDifferenceWords.text(one.how));
    if (one.how == reload::Difference::How::scaled) out["file_workers"] = one.file_workers;
  }
}

// Children of the file that its list has not.
void add_missing(const World& world, const NodeView& supervisor, const Differences& differences, ordered_json& out) {
  for (const auto& [path, all] : differences) {
    if (all.front().in_tree || parent_of(path) != supervisor.path) continue;
    const config::Node& node = *world.catalogue.find(path);
    ordered_json missing{{"id", id_of(path)}, {"path", path}, {"type", kNodeTypeWords.text(node.spec.type)}};
    add_differences(all, missing);
    out["missing"].push_back(std::move(missing));
  }
}

void add_flags(const SupervisorFlags& flags, std::uint32_t restarts, ordered_json& out) {
  out["max_restarts"] = flags.max_restarts ? ordered_json(*flags.max_restarts) : ordered_json("unlimited");
  out["max_seconds"] = seconds(flags.max_seconds);
  out["restarts_in_window"] = restarts;
}

constexpr const char* kDisabled = "disabled";

// With the same members as one that runs.
ordered_json disabled_json(const config::Node& node, const std::string& path) {
  ordered_json out{{"id", node.spec.id},
                   {"path", path},
                   {"type", kNodeTypeWords.text(node.spec.type)},
                   {"state", kDisabled},
                   {"restart", kRestartWords.text(node.spec.restart)},
                   {"restarts", 0}};
  const SupervisorFlags& flags = node.spec.flags;
  if (node.listener) {
    add_flags(flags, 0, out);
    out["endpoints"] = ordered_json::array();
    out["suspended"] = false;
    out["connections"] = counts_json({}, 0);
    out["workers"] = ordered_json::array();
  } else if (!node.process) {
    out["strategy"] = kStrategyWords.text(flags.strategy);
    add_flags(flags, 0, out);
    out["children"] = ordered_json::array();
  }
  for (const auto* list : {&node.children, &node.disabled}) {
    for (const config::Node& child : *list) {
      out["children"].push_back(disabled_json(child, child_of(path, child.spec.id)));
    }
  }
  return out;
}

// What the file has below it and does not want to be started; not where an operator has added another child by that id.
void add_disabled(const World& world, const NodeView& supervisor, ordered_json& children) {
  const config::Node* const node = world.catalogue.find(supervisor.path);
  if (node == nullptr) return;
  for (const config::Node& one : node->disabled) {
    const std::string path = child_of(supervisor.path, one.spec.id);
    if (!world.engine.has(path)) children.push_back(disabled_json(one, path));
  }
}

ordered_json node_json(const World& world, const Differences& differences, NodeId id);

void add_supervisor(const World& world, const NodeView& view, const Differences& differences, ordered_json& out) {
  const SupervisorFlags& flags = view.spec->flags;
  const net::Listener* const found = world.listeners.at(view.path);
  const bool is_listener = found != nullptr;
  if (!is_listener) out["strategy"] = kStrategyWords.text(flags.strategy);
  add_flags(flags, view.restarts_in_window, out);
  if (is_listener) {
    const net::Listener& listener = *found;
    out["endpoints"] = ordered_json::array();
    for (const net::ListeningSocket& socket : listener.sockets()) {
      out["endpoints"].push_back({{"listen", socket.address.text}, {"address", socket.text}});
      if (socket.waiting) out["endpoints"].back()["state"] = "waiting";
    }
    const auto waits = [](const net::ListeningSocket& socket) { return socket.waiting; };
    const bool waiting = listener.is_open() && std::ranges::all_of(listener.sockets(), waits);
    if (waiting && view.state == NodeState::running) out["state"] = kNodeStateWords.text(NodeState::waiting);
    out["uid"] = uid_of(listener.config().child);
    out["suspended"] = listener.gate().is_held_by(net::Gate::Holder::operators);
    if (const auto phase = net::phase_name(listener.end_phase()); !phase.empty()) out["phase"] = phase;
    if (const auto ends = listener.phase_ends()) out["phase_ends_in_seconds"] = std::max(0.0, seconds(*ends - now()));
    out["connections"] = counts_json(listener.counts(), world.children.adopted(listener));
  }
  ordered_json& children = out[is_listener ? "workers" : "children"] = ordered_json::array();
  for (const NodeId child : view.children) children.push_back(node_json(world, differences, child));
  add_disabled(world, view, children);
  add_missing(world, view, differences, out);
}

// When the first of its workers is due, if all of them wait.
std::optional<Instant> all_wait_until(const running::Engine& engine, const NodeView& listener) {
  std::optional<Instant> first;
  for (const NodeId id : listener.children) {
    const auto worker = engine.view(id);
    if (!worker || worker->state != NodeState::waiting) return std::nullopt;
    if (!first || *worker->due < *first) first = worker->due;
  }
  return first;
}

std::optional<Instant> due_of(const running::Engine& engine, const NodeView& view) {
  const bool may_wait_with_its_workers = view.spec->type == NodeType::listener && view.state == NodeState::running;
  return may_wait_with_its_workers ? all_wait_until(engine, view) : view.due;
}

ordered_json node_json(const World& world, const Differences& differences, NodeId id) {
  const auto view = world.engine.view(id);
  if (!view) return nullptr;
  ordered_json out{{"id", view->parent == 0 ? "root" : view->spec->id},
                   {"path", view->path},
                   {"type", kNodeTypeWords.text(view->spec->type)},
                   {"state", state_text(world, *view)}};
  const bool leaf = view->spec->type == NodeType::process || view->spec->type == NodeType::worker;
  if (leaf) add_leaf(world, *view, out);
  out["restart"] = kRestartWords.text(view->spec->restart);
  out["restarts"] = view->restarts;
  if (const auto busy = world.engine.waits_for(id)) out["waits_for"] = *busy;
  if (const auto due = due_of(world.engine, *view)) {
    const bool first = view->state == NodeState::starting;
    out[first ? "start_in_seconds" : "restart_in_seconds"] = std::max(0.0, seconds(*due - now()));
  }
  if (view->spec->type == NodeType::worker) {
    const auto worker = world.children.view(view->run);
    out["generation"] = worker ? worker->generation : world.catalogue.generation();
  }
  if (const auto own = differences.find(view->path); own != differences.end()) add_differences(own->second, out);
  if (view->parent == 0 && world.places) out["places"] = places_json(*world.places);
  if (!leaf) add_supervisor(world, *view, differences, out);
  return out;
}

}  // namespace

// A job that has been done.
static bool is_oneshot(const World& world, const NodeView& view) {
  const config::Node* const node = view.spec->type == NodeType::process ? world.catalogue.at(view.spec->tag) : nullptr;
  return node != nullptr && node->process && node->process->oneshot;
}

std::uint32_t uid_of(const config::ChildKeys& keys) {
  return keys.identity ? keys.identity->uid : geteuid();
}

std::string_view state_text(const World& world, const NodeView& view) {
  const auto run = view.spec->type == NodeType::process ? world.children.view(view.run) : std::nullopt;
  if (run && run->waits_for_group) return kNodeStateWords.text(NodeState::stopping);
  if (view.state == NodeState::starting) return kNodeStateWords.text(view.state);
  if (view.finished && is_oneshot(world, view)) return "finished";
  return kNodeStateWords.text(due_of(world.engine, view) ? NodeState::waiting : view.state);
}

ordered_json tree_json(const World& world, NodeId node) {
  return node_json(world, by_path(reload::differences({world.engine, world.catalogue, world.listeners})), node);
}

ordered_json differences_json(const std::vector<reload::Difference>& differences) {
  ordered_json out = ordered_json::array();
  for (const auto& [path, all] : by_path(differences)) {
    ordered_json one{{"path", path}};
    add_differences(all, one);
    if (all.back().workers != 0) one["workers"] = all.back().workers;
    out.push_back(std::move(one));
  }
  return out;
}

ordered_json places_json(const procedure::Places::Figures& places) {
  return {{"used", places.taken}, {"max", places.total}, {"reserved", places.reserved}};
}

ordered_json stats_json(const World& world) {
  ordered_json listeners = ordered_json::array();
  Totals totals{ordered_json::object()};
  for (const net::Listener* listener : world.listeners.all()) {
    ordered_json counts = counts_json(listener->counts(), world.children.adopted(*listener));
    totals.add(counts);
    listeners.push_back({{"path", listener->path()}, {"connections", std::move(counts)}});
  }
  if (world.places) totals.json["places"] = places_json(*world.places);
  return {{"listeners", std::move(listeners)}, {"totals", std::move(totals.json)}};
}

}  // namespace bulkhead::control
