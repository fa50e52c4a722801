// The methods that change nothing.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <nlohmann/json.hpp>
#include <utility>

#include "master/control/answers.h"
#include "master/control/connection_list.h"
#include "master/control/log_feed.h"
#include "master/control/methods.h"
#include "master/host/clock.h"
#include "master/host/log_target.h"
#include "master/journal/explain.h"
#include "master/sandbox/report.h"
#include "master/supervision/path.h"
#include "master/supervision/words.h"
#include "worker/confine/landlock.h"

namespace bulkhead::control {

using nlohmann::ordered_json;

namespace {

// The entries at or below `path`, in what is at `at`.
using Visit = std::function<void(const std::string& at, const config::Node& node)>;
void walk(const std::string& at, const config::Node& node, const std::string& path, const Visit& visit) {
  if (!supervision::touch(at, path)) return;
  if (supervision::is_at_or_below(at, path)) visit(at, node);
  for (const config::Node& child : node.children) walk(supervision::child_of(at, child.spec.id), child, path, visit);
}

void note(std::vector<std::string>& notes, std::string text) {
  if (std::ranges::find(notes, text) == notes.end()) notes.push_back(std::move(text));
}

void note_log_daemon(std::vector<std::string>& notes, const std::string& path, const std::string& target) {
  if (host::transport_of(target) == log::Transport::stream) return;
  note(notes, fmt::format("the workers of {} write their lines to {} themselves", path, target));
}

void note_output(std::vector<std::string>& notes, const std::string& path, const char* stream,
                 const config::Output& output) {
  if (output.kind != config::Output::Kind::file) return;
  note(notes, fmt::format("{} writes its {} to {}", path, stream, output.path));
}

}  // namespace

World Methods::world() const {
  return {parts_.engine, parts_.catalogue, parts_.listeners, parts_.children, parts_.places.figures()};
}

void Methods::tree(const Params& params, Reply reply) {
  const std::string path = params.value("path", "root");
  const auto node = parts_.engine.view(path);
  if (!node) return reply(answer_of(procedure::no_such(parts_.engine, "node", path)));
  ordered_json out = tree_json(world(), node->id);
  if (path == "root") add_unconfirmed(out);
  reply({std::move(out), std::nullopt});
}

void Methods::add_unconfirmed(ordered_json& out) const {
  if (const auto left = parts_.reload.seconds_to_confirm()) out["unconfirmed"] = {{"remaining_seconds", *left}};
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
  add_unconfirmed(out);
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

// What is not among the lines of the nodes at or below a path, in words.
std::vector<std::string> Methods::not_kept(const std::string& path) const {
  std::vector<std::string> out;
  const config::Log& daemon = parts_.catalogue.config().log;
  parts_.catalogue.for_each_top([&](const std::string& top, const config::Node& node) {
    walk(top, node, path, [&](const std::string& at, const config::Node& one) {
      if (one.listener) note_log_daemon(out, at, config::merged(daemon, one.listener->log).target);
      if (one.process) note_output(out, at, "stdout", one.process->output);
      if (one.process) note_output(out, at, "stderr", one.process->error_output);
    });
  });
  return out;
}

// A node that has been removed has lines for a while.
void Methods::logs(const Params& params, Reply reply) {
  const std::string path = params.value("path", "root");
  if (!parts_.engine.has(path) && !parts_.lines.knows(path)) {
    return reply(answer_of(procedure::no_such(parts_.engine, "node", path)));
  }
  const auto last = params.find("last");
  const auto feed = std::make_shared<LogFeed>(
      parts_.lines, path, last == params.end() ? std::nullopt : std::optional(last->get<std::uint64_t>()),
      ordered_json{{"path", path}, {"notes", not_kept(path)}});
  Answer out{nullptr, std::nullopt, [feed](std::string& text) { return feed->answer(text); }};
  if (params.value("follow", false)) out.news = [feed](std::string& text) { return feed->notify(text); };
  reply(std::move(out));
}

void Methods::sandbox(const Params& params, Reply reply) {
  const std::string path = params.at("path");
  const auto node = parts_.engine.view(path);
  if (!node) return reply(answer_of(procedure::no_such(parts_.engine, "node", path)));
  const config::Node* const entry = parts_.catalogue.at(node->spec->tag);
  const config::ChildKeys* const keys = entry == nullptr ? nullptr : config::child_keys_of(*entry);
  if (keys == nullptr) return reply(refused(path + " has no sandbox: only listeners and processes have one"));
  const std::uint32_t uid = uid_of(*keys);
  const sandbox::Setting setting{entry->listener.has_value(), uid == 0, keys->identity ? keys->identity->name : "",
                                 confine::landlock_version(), keys->identity && keys->identity->pool};
  ordered_json walls = ordered_json::array();
  for (const sandbox::Wall& wall : sandbox::walls_of(keys->sandbox, setting)) {
    walls.push_back({{"wall", wall.name},
                     {"holds", sandbox::kHoldsWords.text(wall.holds)},
                     {"text", wall.text},
                     {"key", wall.key}});
  }
  reply({{{"path", path}, {"uid", uid}, {"walls", std::move(walls)}}, std::nullopt});
}

}  // namespace bulkhead::control
