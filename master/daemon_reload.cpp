#include "master/daemon_reload.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "master/control/tree_of_config.h"
#include "master/daemon.h"
#include "master/lifecycle/module_files.h"
#include "master/node_path.h"
#include "master/now.h"
#include "worker/log/log.h"

namespace bulkhead {

namespace {

using lifecycle::Change;
using nlohmann::ordered_json;
using supervision::Operation;

constexpr std::chrono::milliseconds kHandshakes(100);
constexpr const char* kStopping = "the daemon is stopping";

std::vector<std::string> texts_of(const std::vector<config::Problem>& problems) {
  std::vector<std::string> out;
  for (const config::Problem& problem : problems) out.push_back(problem.text());
  return out;
}

control::Answer refused(const std::vector<std::string>& problems) {
  return {nullptr, control::Failure{control::kRefused, fmt::format("{}", fmt::join(problems, "\n")), ""}};
}

ordered_json json_of(const lifecycle::ReloadPlan& plan) {
  ordered_json changes = ordered_json::array();
  for (const Change& change : plan.changes) {
    changes.push_back({{"path", change.path}, {"kind", lifecycle::kind_text(change.kind)}, {"keys", change.keys}});
  }
  return {{"ok", true}, {"changes", std::move(changes)}, {"needs_restart", plan.needs_restart}};
}

}  // namespace

DaemonReload::DaemonReload(Daemon& daemon)
    : daemon_(daemon),
      pause_(daemon.loop_, [this] { std::exchange(on_pause_, nullptr)(""); }),
      last_(std::make_unique<ordered_json>(
          ordered_json{{"time", control::wall_clock_text()}, {"ok", true}, {"errors", ordered_json::array()}})) {}

DaemonReload::~DaemonReload() = default;

control::Answer DaemonReload::check(const std::string& file) const {
  const config::Loaded loaded = config::load(file.empty() ? daemon_.config_->file : file);
  if (!loaded.config) return refused(texts_of(loaded.problems));
  return {{{"ok", true}}, std::nullopt};
}

lifecycle::ReloadPlan DaemonReload::plan(const std::string& effective, const config::Config& config) const {
  return lifecycle::plan_reload(lifecycle::with_module_files(ordered_json::parse(daemon_.effective_), *daemon_.config_),
                                lifecycle::with_module_files(ordered_json::parse(effective), config));
}

control::Answer DaemonReload::diff(const std::string& file) const {
  const config::Loaded loaded = config::load(file.empty() ? daemon_.config_->file : file);
  if (!loaded.config) return refused(texts_of(loaded.problems));
  return {json_of(plan(loaded.effective, *loaded.config)), std::nullopt};
}

void DaemonReload::begin(control::Reply reply) {
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
  for (const control::Reply& reply : std::exchange(waiting_, {})) reply(refused({kStopping}));
  if (!under_way()) return;
  ++attempt_;
  steps_.clear();
  undo_.clear();
  pause_.stop();
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

// Trials first, so that nothing that cannot be undone happens before the last thing that can fail.
void DaemonReload::plan_steps() {
  steps_.clear();
  undo_.clear();
  problems_.clear();
  if (!plan_.changes.empty()) ++daemon_.generation_;
  for (const Change& change : plan_.changes) {
    if (change.kind == Change::Kind::added) try_added(change);
    if (change.kind == Change::Kind::new_workers) try_new_workers(change);
  }
  steps_.push_back({[this](const Done& done) {
                      take_over();
                      done("");
                    },
                    nullptr});
  for (const Change& change : plan_.changes) commit(change);
  steps_.push_back({[this](const Done& done) {
                      as_written();
                      done("");
                    },
                    nullptr});
}

// What `scale` and `suspend` have changed lasts until here.
void DaemonReload::as_written() {
  for (const auto& [path, listener] : daemon_.listeners_) {
    const config::Node* node = new_node(path);
    if (node == nullptr || !node->listener || !listener->is_open() || listener->draining) continue;
    if (listener->suspended) daemon_.control_.resume({{"path", path}}, [](const control::Answer&) {});
    settle_workers(path);
  }
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
  undo_next(problem);
}

void DaemonReload::undo_next(std::string problem) {
  if (undo_.empty()) {
    --daemon_.generation_;
    return reject({std::move(problem)});
  }
  const auto undo = std::move(undo_.back());
  undo_.pop_back();
  undo([this, attempt = attempt_, problem = std::move(problem)](const std::string&) {
    daemon_.later([this, attempt, problem] {
      if (attempt == attempt_) undo_next(problem);
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
  answer(problems_.empty() ? control::Answer{result, std::nullopt} : refused(problems_));
}

void DaemonReload::remember(bool ok, const std::vector<std::string>& errors) {
  *last_ = {{"time", control::wall_clock_text()}, {"ok", ok}, {"errors", errors}};
}

void DaemonReload::answer(const control::Answer& answer) {
  daemon_.store_sockets();
  daemon_.services_.ready();
  const auto replies = std::exchange(replies_, std::exchange(waiting_, {}));
  for (const control::Reply& reply : replies) reply(answer);
  if (under_way()) return daemon_.later([this] { run(); });
  daemon_.choose_signals();
  daemon_.upgrade_.go_on();
}

config::Node* DaemonReload::new_node(const std::string& path) {
  // Once taken over it is the daemon's.
  config::Node* node = config_ ? &config_->root : &daemon_.config_->root;
  for (std::size_t at = path.find('/'); at != std::string::npos;) {
    const std::size_t end = path.find('/', at + 1);
    const std::string id = path.substr(at + 1, end == std::string::npos ? end : end - at - 1);
    const auto found = std::find_if(node->children.begin(), node->children.end(),
                                    [&id](const config::Node& child) { return child.spec.id == id; });
    if (found == node->children.end()) return nullptr;
    node = &*found;
    at = end;
  }
  return node;
}

void DaemonReload::operate(Operation operation, const std::string& path, Done done) {
  daemon_.control_.operate(operation, parent_of(path), id_of(path), [path, done](supervision::ReplyError error) {
    done(error == supervision::ReplyError::none ? "" : fmt::format("{}: {}", path, DaemonControl::word_of(error)));
  });
}

void DaemonReload::restart(const std::string& path, const Done& done) {
  operate(Operation::terminate_child, path, [this, path, done](const std::string& problem) {
    if (!problem.empty()) return done(problem);
    operate(Operation::restart_child, path, done);
  });
}

// As an operator would: `stop`, which drains a listener, then `delete`.
void DaemonReload::end_child(const std::string& path, const Done& done) {
  const auto id = daemon_.tree_.find(path);
  const auto view = id ? daemon_.tree_.node(*id, now()) : std::nullopt;
  if (!view) return done("");
  const std::uint32_t tag = view->spec->tag;
  const bool worker = view->spec->type == supervision::NodeType::worker;
  daemon_.control_.stop({{"path", path}}, [this, path, tag, worker, done](const control::Answer& stopped) {
    if (stopped.failure) return done(stopped.failure->message);
    daemon_.control_.remove({{"path", path}}, [this, tag, worker, done](const control::Answer& removed) {
      if (removed.failure) return done(removed.failure->message);
      if (!worker) daemon_.forget_entry(tag);
      done("");
    });
  });
}

std::vector<unsigned long> DaemonReload::worker_numbers(const std::string& path) const {
  std::vector<unsigned long> out;
  const auto id = daemon_.tree_.find(path);
  const auto view = id ? daemon_.tree_.node(*id, now()) : std::nullopt;
  if (!view) return out;
  for (const supervision::NodeId child : view->children) {
    if (const auto worker = daemon_.tree_.node(child, now())) out.push_back(std::stoul(worker->spec->id));
  }
  std::sort(out.begin(), out.end());
  return out;
}

void DaemonReload::start_worker(const std::string& path, const Done& done) {
  const auto number = static_cast<std::uint32_t>(std::stoul(id_of(path)));
  const config::Node* node = daemon_.node_at(parent_of(path));
  daemon_.control_.operate(
      Operation::start_child, parent_of(path), id_of(path),
      [path, done](supervision::ReplyError error) {
        done(error == supervision::ReplyError::none
                 ? ""
                 : fmt::format("{}, the first worker of the new configuration, did not start", path));
      },
      control::worker_spec(number, node->spec.restart_delay));
}

std::vector<std::string> DaemonReload::old_workers(const std::string& path) const {
  std::vector<std::string> out;
  daemon_.workers_.for_each([&](const process::WorkerProcess& worker) {
    if (parent_of(worker.path) == path && worker.generation < daemon_.generation_) out.push_back(worker.path);
  });
  return out;
}

// Why nothing can be added there, or nothing.
std::string DaemonReload::what_is_at(const std::string& path) const {
  const bool listening = std::any_of(daemon_.listeners_.begin(), daemon_.listeners_.end(), [&path](const auto& entry) {
    return entry.first == path || entry.first.starts_with(path + "/");
  });
  if (!listening && !daemon_.tree_.find(path)) return "";
  return path + " is still there: it has not ended yet, or was added by an operator; reload again when it is gone";
}

void DaemonReload::try_added(const Change& change) {
  const std::string path = change.path;
  steps_.push_back({[this, path](const Done& done) {
                      if (const std::string there = what_is_at(path); !there.empty()) return done(there);
                      config::Node& node = *new_node(path);
                      daemon_.register_nodes(node, config_ ? config_ : daemon_.config_);
                      if (const auto error = daemon_.add_listeners(node, path)) {
                        daemon_.control_.forget(path);
                        return done(error->text());
                      }
                      daemon_.control_.operate(
                          Operation::start_child, parent_of(path), node.spec.id,
                          [this, path, done](supervision::ReplyError error) {
                            if (error == supervision::ReplyError::none) return done("");
                            daemon_.control_.forget(path);
                            done(fmt::format("{} did not start: {}", path, DaemonControl::word_of(error)));
                          },
                          control::tree_of_config(node));
                    },
                    [this, path](const Done& done) { end_child(path, done); }});
}

// One worker of the new generation beside the old ones. Its number is one that no old worker has.
void DaemonReload::try_new_workers(const Change& change) {
  const std::string path = change.path;
  const auto extra = std::make_shared<std::string>();
  const auto before = std::make_shared<config::Listener>();
  steps_.push_back({[this, path, extra, before](const Done& done) {
                      net::Listener* listener = daemon_.listener_at(path);
                      if (listener == nullptr || !listener->is_open()) return done("");  // stopped by an operator
                      *before = listener->config();
                      if (const auto error = listener->change(*new_node(path)->listener)) {
                        return done(fmt::format("{}: {}", path, error->text()));
                      }
                      *extra = path + "/" +
                               std::to_string(worker_numbers(path).empty() ? 1 : worker_numbers(path).back() + 1);
                      daemon_.workers_.set_generation(daemon_.generation_);
                      start_worker(*extra, [this, path, before, done](const std::string& problem) {
                        if (!problem.empty()) {
                          (void)daemon_.listener_at(path)->change(*before);
                          daemon_.workers_.set_generation(daemon_.generation_ - 1);
                        }
                        done(problem);
                      });
                    },
                    [this, path, extra, before](const Done& done) {
                      if (extra->empty()) return done("");
                      (void)daemon_.listener_at(path)->change(*before);
                      daemon_.workers_.set_generation(daemon_.generation_ - 1);
                      end_child(*extra, done);
                    }});
}

// From here on the new file is the daemon's.
void DaemonReload::take_over() {
  daemon_.take_configuration(std::move(config_), std::move(loaded_->effective));
}

void DaemonReload::commit(const Change& change) {
  const std::string path = change.path;
  switch (change.kind) {
    case Change::Kind::added: return;
    case Change::Kind::in_place:
      if (path == "log") {
        steps_.push_back({[this](const Done& done) {
                            daemon_.reopen_log();
                            done("");
                          },
                          nullptr});
      } else {
        change_process(path);
        give_limits(path);
        settle_workers(path);
      }
      return;
    case Change::Kind::new_workers:
      leave_addresses(path);
      replace_workers(path);
      give_limits(path);
      return settle_workers(path);
    case Change::Kind::restarted: return restart_process(path);
    case Change::Kind::removed: return end_removed(path, false);
    case Change::Kind::replaced: {
      end_removed(path, true);
      Change added = change;
      added.kind = Change::Kind::added;
      try_added(added);
      steps_.back().undo = nullptr;
      return;
    }
  }
}

void DaemonReload::give_limits(const std::string& path) {
  steps_.push_back({[this, path](const Done& done) { limit(path, done); }, nullptr});
}

void DaemonReload::limit(const std::string& path, const Done& done) {
  net::Listener* listener = daemon_.listener_at(path);
  if (listener == nullptr || !listener->is_open()) return done("");
  if (!listener->limit(*daemon_.node_at(path)->listener)) {
    return daemon_.later([this, path, done] { limit(path, done); });
  }
  ipc::Message look_again;
  look_again.type = ipc::MessageType::kick;
  daemon_.workers_.send(*listener, look_again);
  done("");
}

// The workers that there are empty the queues of addresses that go, before they go themselves.
void DaemonReload::leave_addresses(const std::string& path) {
  steps_.push_back({[this, path](const Done& done) {
                      net::Listener* listener = daemon_.listener_at(path);
                      if (listener == nullptr || !listener->has_left_over()) return done("");
                      listener->refuse_left_over();
                      on_pause_ = done;
                      pause_.start(kHandshakes);
                    },
                    nullptr});
}

// Each old worker retires and comes back with the new plan; the others, and the one of the trial, accept meanwhile.
void DaemonReload::replace_workers(const std::string& path) {
  steps_.push_back(
      {[this, path](const Done& done) {
         for (const std::string& worker : old_workers(path)) {
           steps_.push_front({[this, worker](const Done& restarted) { restart(worker, restarted); }, nullptr});
         }
         done("");
       },
       nullptr});
}

void DaemonReload::settle_workers(const std::string& path) {
  steps_.push_back({[this, path](const Done& done) {
                      const config::Node* node = daemon_.node_at(path);
                      net::Listener* listener = daemon_.listener_at(path);
                      if (listener == nullptr || !listener->is_open()) return done("");
                      listener->close_left_over();
                      daemon_.control_.scale_step(path, node->listener->workers, [done](const control::Answer& answer) {
                        done(answer.failure ? answer.failure->message : "");
                      });
                    },
                    nullptr});
}

void DaemonReload::restart_process(const std::string& path) {
  steps_.push_back({[this, path](const Done& done) { restart(path, done); }, nullptr});
}

void DaemonReload::change_process(const std::string& path) {
  steps_.push_back({[this, path](const Done& done) {
                      const config::Node* node = daemon_.node_at(path);
                      if (node != nullptr && node->process) {
                        const auto view = daemon_.tree_.node(*daemon_.tree_.find(path), now());
                        daemon_.processes_.change(view->run, *node->process, node->spec.shutdown);
                        daemon_.narrator_.stop_signal_is(view->run, node->process->stop_signal);
                      }
                      done("");
                    },
                    nullptr});
}

// A listener that drains must not hold up the rest, unless what comes next needs its name.
void DaemonReload::end_removed(const std::string& path, bool wait) {
  steps_.push_back({[this, path, wait](const Done& done) {
                      if (wait) return end_child(path, done);
                      end_child(path, [](const std::string& problem) {
                        if (!problem.empty()) {
                          log::Line(log::Level::error, "root").text("reload: ").text(problem).write();
                        }
                      });
                      done("");
                    },
                    nullptr});
}

}  // namespace bulkhead
