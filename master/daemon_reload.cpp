#include "master/daemon_reload.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "master/daemon.h"
#include "master/reload/module_files.h"
#include "worker/log/log.h"

namespace bulkhead {

namespace {

using nlohmann::ordered_json;
using reload::Change;

constexpr const char* kStopping = "the daemon is stopping";

std::vector<std::string> texts_of(const std::vector<config::Problem>& problems) {
  std::vector<std::string> out;
  for (const config::Problem& problem : problems) out.push_back(problem.text());
  return out;
}

protocol::Answer refused(const std::vector<std::string>& problems) {
  return {nullptr, protocol::Failure{protocol::kRefused, fmt::format("{}", fmt::join(problems, "\n")), ""}};
}

ordered_json json_of(const reload::ReloadPlan& plan) {
  ordered_json changes = ordered_json::array();
  for (const Change& change : plan.changes) {
    changes.push_back({{"path", change.path}, {"kind", reload::kChangeWords.text(change.kind)}, {"keys", change.keys}});
  }
  return {{"ok", true}, {"changes", std::move(changes)}, {"needs_restart", plan.needs_restart}};
}

}  // namespace

DaemonReload::DaemonReload(Daemon& daemon)
    : daemon_(daemon),
      pause_(daemon.loop_, [this] { std::exchange(on_pause_, nullptr)(""); }),
      last_(std::make_unique<ordered_json>(
          ordered_json{{"time", nullptr}, {"ok", true}, {"errors", ordered_json::array()}})) {}

DaemonReload::~DaemonReload() = default;

protocol::Answer DaemonReload::check(const std::string& file) const {
  const config::Loaded loaded = config::load(file.empty() ? daemon_.config_->file : file);
  if (!loaded.config) return refused(texts_of(loaded.problems));
  return {{{"ok", true}}, std::nullopt};
}

reload::ReloadPlan DaemonReload::plan(const std::string& effective, const config::Config& config) const {
  return reload::plan_reload(reload::with_module_files(ordered_json::parse(daemon_.effective_), *daemon_.config_),
                             reload::with_module_files(ordered_json::parse(effective), config));
}

protocol::Answer DaemonReload::diff(const std::string& file) const {
  const config::Loaded loaded = config::load(file.empty() ? daemon_.config_->file : file);
  if (!loaded.config) return refused(texts_of(loaded.problems));
  return {json_of(plan(loaded.effective, *loaded.config)), std::nullopt};
}

void DaemonReload::begin(protocol::Reply reply) {
  if (daemon_.is_stopping()) {
    log::Line(log::Level::warning, "root").text("not reloaded: ").text(kStopping).write();
    return reply(refused({kStopping}));
  }
  waiting_.push_back(std::move(reply));
  go_on();
}

void DaemonReload::go_on() {
  if (under_way() || waiting_.empty() || !daemon_.ready_ || daemon_.upgrade_.renewing()) return;
  replies_ = std::exchange(waiting_, {});
  run();
}

// What a trial has started goes the way of everything else; whatever it still waits for comes too late to go on.
void DaemonReload::daemon_stops() {
  for (const protocol::Reply& reply : std::exchange(waiting_, {})) reply(refused({kStopping}));
  if (!under_way()) return;
  ++attempt_;
  steps_.clear();
  undo_.clear();
  pause_.stop();
  set_on_trial("root", false);
  if (config_) {
    if (!plan_.changes.empty()) --daemon_.generation_;
    return reject({kStopping});
  }
  problems_.emplace_back("the daemon is stopping: not everything of it could be carried out");
  finished();
}

void DaemonReload::resume(const std::string& last) {
  ordered_json json = ordered_json::parse(last, nullptr, false);
  if (json.is_object()) *last_ = std::move(json);
}

void DaemonReload::run() {
  if (!under_way()) return;  // the daemon has begun to stop since
  daemon_.choose_signals();
  daemon_.events_.publish("reload_started", "root");
  daemon_.services_.reloading();
  loaded_ = std::make_unique<config::Loaded>(config::load(daemon_.config_->file));
  if (!loaded_->config) return reject(texts_of(loaded_->problems));
  config_ = std::make_shared<config::Config>(std::move(*loaded_->config));
  if (daemon_.options_.overrule) daemon_.options_.overrule(*config_);
  config_->pid_file = daemon_.config_->pid_file;  // these two for the daemon's life
  config_->control = daemon_.config_->control;
  plan_ = plan(loaded_->effective, *config_);
  plan_steps();
  next();
}

// Trials first, so that nothing that cannot be undone happens before the last thing that can fail; and those that
// interrupt something last of all.
void DaemonReload::plan_steps() {
  steps_.clear();
  undo_.clear();
  problems_.clear();
  renewals_.clear();
  lenders_.clear();
  if (!plan_.changes.empty()) ++daemon_.generation_;
  for (const Change& change : plan_.changes) {
    if (change.kind == Change::Kind::added) try_added(change.path);
    if (change.kind == Change::Kind::new_workers) try_new_workers(change.path);
  }
  for (const Change& change : plan_.changes) {
    if (change.kind == Change::Kind::restarted) try_process(change.path);
  }
  then([this](const Done& done) {
    take_over();
    done("");
  });
  for (const Change& change : plan_.changes) commit(change);
  then([this](const Done& done) {
    as_written();
    done("");
  });
}

void DaemonReload::trial(std::function<void(Done)> deed, std::function<void(Done)> undo) {
  steps_.push_back({std::move(deed), std::move(undo)});
}

void DaemonReload::then(std::function<void(Done)> deed) {
  steps_.push_back({std::move(deed), nullptr});
}

void DaemonReload::next() {
  if (steps_.empty()) return finished();
  Step step = std::move(steps_.front());
  steps_.pop_front();
  const bool trial = step.undo != nullptr;
  step.deed([this, trial, attempt = attempt_, undo = std::move(step.undo)](const std::string& problem) {
    if (attempt != attempt_) return;
    if (!problem.empty() && trial) return failed(problem);
    if (!problem.empty()) problems_.push_back(problem);
    if (trial) undo_.push_back(undo);
    daemon_.later([this, attempt] {
      if (attempt == attempt_) next();
    });
  });
}

void DaemonReload::failed(const std::string& problem) {
  steps_.clear();
  problems_.insert(problems_.begin(), problem);
  undo_next();
}

void DaemonReload::undo_next() {
  if (undo_.empty()) {
    if (!plan_.changes.empty()) --daemon_.generation_;
    for (const std::string& path : lenders_) {
      if (net::Listener* const listener = daemon_.listener_at(path)) listener->restore_options();
    }
    return reject(std::exchange(problems_, {}));
  }
  const auto undo = std::move(undo_.back());
  undo_.pop_back();
  undo([this, attempt = attempt_](const std::string& problem) {
    if (attempt != attempt_) return;
    if (!problem.empty()) problems_.push_back(problem);
    daemon_.later([this, attempt] {
      if (attempt == attempt_) undo_next();
    });
  });
}

void DaemonReload::reject(std::vector<std::string> problems) {
  config_.reset();
  for (const std::string& problem : problems) {
    log::Line(log::Level::error, "root").text("not reloaded: ").text(problem).write();
  }
  daemon_.events_.publish("reload_rejected", "root", {{"errors", problems}});
  remember(false, problems);
  answer(refused(problems));
}

void DaemonReload::finished() {
  const ordered_json result = json_of(plan_);
  log::Line(log::Level::info, "root")
      .text("reloaded")
      .field("changes", static_cast<std::int64_t>(plan_.changes.size()))
      .field("generation", daemon_.generation_)
      .write();
  for (const std::string& pointer : plan_.needs_restart) {
    log::Line(log::Level::warning, "root").text("only a restart of the daemon changes ").text(pointer).write();
  }
  for (const std::string& problem : problems_) {
    log::Line(log::Level::error, "root").text("reloaded, but: ").text(problem).write();
  }
  ordered_json fields{{"changes", result["changes"]}};
  if (!problems_.empty()) fields["errors"] = problems_;
  daemon_.events_.publish("reload_done", "root", fields);
  remember(problems_.empty(), problems_);
  answer(problems_.empty() ? protocol::Answer{result, std::nullopt} : refused(problems_));
}

void DaemonReload::remember(bool ok, const std::vector<std::string>& errors) {
  *last_ = {{"time", journal::wall_clock_text()}, {"ok", ok}, {"errors", errors}};
}

void DaemonReload::answer(const protocol::Answer& answer) {
  daemon_.store_sockets();
  daemon_.services_.ready();
  const auto replies = std::exchange(replies_, std::exchange(waiting_, {}));
  for (const protocol::Reply& reply : replies) reply(answer);
  if (under_way()) return daemon_.later([this] { run(); });
  daemon_.choose_signals();
  daemon_.upgrade_.go_on();
}

}  // namespace bulkhead
