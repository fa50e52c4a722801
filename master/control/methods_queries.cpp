// The methods that change nothing.
#include <unistd.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

#include "master/control/answers.h"
#include "master/control/connection_list.h"
#include "master/control/methods.h"
#include "master/host/clock.h"
#include "master/journal/explain.h"
#include "master/supervision/words.h"

namespace bulkhead::control {

using nlohmann::ordered_json;

World Methods::world() const {
  return {parts_.engine, parts_.catalogue, parts_.listeners, parts_.children, parts_.places.figures()};
}

void Methods::tree(const Params& params, Reply reply) {
  const std::string path = params.value("path", "root");
  const auto node = parts_.engine.view(path);
  if (!node) return reply(answer_of(procedure::no_such(parts_.engine, "node", path)));
  reply({tree_json(world(), node->id), std::nullopt});
}

void Methods::stats(const Params&, Reply reply) {
  reply({stats_json(world()), std::nullopt});
}

void Methods::connections(const Params& params, Reply reply) {
  const std::string path = params.value("path", "root");
  if (!parts_.engine.has(path)) return reply(answer_of(procedure::no_such(parts_.engine, "node", path)));
  const auto list = std::make_shared<ConnectionList>(parts_.listeners.by_path(), path);
  reply({nullptr, std::nullopt, [list](std::string& out) { return list->next(out); }});
}

void Methods::config(const Params&, Reply reply) {
  reply({ordered_json::parse(parts_.catalogue.effective(), nullptr, false), std::nullopt});
}

void Methods::check(const Params& params, Reply reply) {
  const auto result = parts_.reload.check(params.value("file", ""));
  if (!result.problems.empty()) return reply(refused(result.problems));
  Answer answer = ok();
  if (!result.warnings.empty()) answer.result["warnings"] = result.warnings;
  reply(std::move(answer));
}

void Methods::diff(const Params& params, Reply reply) {
  const reload::Reload::Result result = parts_.reload.diff(params.value("file", ""));
  Answer answer = answer_of(result);
  if (result.problems.empty()) answer.result["differs"] = differences_json(result.left);
  reply(std::move(answer));
}

const char* Methods::state() const {
  if (parts_.shutdown.is_stopping()) return net::daemon_state(parts_.shutdown.phase());
  if (!parts_.readiness.is_ready()) return "starting";
  return parts_.endings.all() ? "draining" : "running";
}

void Methods::status(const Params&, Reply reply) {
  ordered_json out{{"pid", getpid()},
                   {"version", parts_.version},
                   {"state", state()},
                   {"generation", parts_.catalogue.generation()},
                   {"uptime_seconds", std::chrono::duration<double>(now() - parts_.started).count()},
                   {"config", parts_.catalogue.config().file},
                   {"last_reload", parts_.reload.last()},
                   {"last_upgrade", parts_.upgrade.last()}};
  if (const auto places = parts_.places.figures()) out["places"] = places_json(*places);
  reply({std::move(out), std::nullopt});
}

void Methods::explain(const Params& params, Reply reply) {
  const std::string path = params.at("path");
  const auto node = parts_.engine.view(path);
  if (!node && is_disabled(path)) {
    return reply({{{"path", path},
                   {"state", "disabled"},
                   {"sentences", {path + " is not started: the file has \"enabled\": false for it."}}},
                  std::nullopt});
  }
  if (!node) return reply(answer_of(procedure::no_such(parts_.engine, "node", path)));
  const auto grouped = [this](const std::string& supervisor) {
    const auto view = parts_.engine.view(supervisor);
    return view && view->spec->flags.strategy != supervision::Strategy::one_for_one;
  };
  const journal::Explained explained{path, state_text(world(), *node), parts_.engine.waits_for(node->id)};
  ordered_json out = journal::explain(parts_.events, explained, grouped);
  const config::Node* const entry =
      node->spec->type == supervision::NodeType::process ? parts_.catalogue.at(node->spec->tag) : nullptr;
  if (node->state == supervision::NodeState::stopped && node->spec->manual && entry != nullptr) {
    out["sentences"].push_back(path + " is started by operators only: the file has \"start\": \"manual\" for it.");
  }
  reply({std::move(out), std::nullopt});
}

}  // namespace bulkhead::control
