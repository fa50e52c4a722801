#include "master/daemon_control.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <nlohmann/json.hpp>
#include <utility>

#include "master/config/nearest.h"
#include "master/config/tree_of_config.h"
#include "master/control/connection_list.h"
#include "master/control/penalties.h"
#include "master/daemon.h"
#include "master/host/clock.h"
#include "master/journal/explain.h"
#include "master/supervision/path.h"
#include "master/supervision/words.h"
#include "worker/log/log.h"
#include "worker/sys/signal.h"
#include "worker/sys/signal_name.h"

namespace bulkhead {

namespace {

using nlohmann::ordered_json;
using protocol::Answer;
using protocol::Failure;
using supervision::ChildSpec;
using supervision::Instant;
using supervision::NodeId;
using supervision::NodeState;
using supervision::NodeType;
using supervision::Operation;
using supervision::OperationRequested;
using supervision::ReplyError;
using supervision::Strategy;

constexpr std::uint32_t kMaxWorkers = 256;

Answer ok() {
  return {{{"ok", true}}, std::nullopt};
}

Answer no_such(const std::string& what) {
  return {nullptr, Failure{protocol::kNoSuchObject, fmt::format("there is no {}", what), "not_found"}};
}

struct Split {
  std::string supervisor;
  std::string id;
};
Split split(const std::string& path) {
  return {supervision::parent_of(path), supervision::id_of(path)};
}

std::string path_of(const ordered_json& params) {
  return params.at("path").get<std::string>();
}

}  // namespace

Answer DaemonControl::refused(std::string why) {
  return {nullptr, Failure{protocol::kRefused, std::move(why), ""}};
}

Answer DaemonControl::answer_of(ReplyError error, const std::string& path) {
  switch (error) {
    case ReplyError::none: return ok();
    case ReplyError::not_found:
    case ReplyError::noproc:
      return {nullptr, Failure{protocol::kNoSuchObject, "there is no node " + path, word_of(error)}};
    default: break;
  }
  return {nullptr, Failure{protocol::kNegative, fmt::format("{}: {}", path, word_of(error)), word_of(error)}};
}

const char* DaemonControl::word_of(ReplyError error) {
  static constexpr const char* kWords[] = {"ok",           "not_found",       "running",
                                           "restarting",   "already_started", "already_present",
                                           "start_failed", "invalid_spec",    "noproc"};
  return kWords[static_cast<std::size_t>(error)];
}

// Every method of the protocol but `events`, which the server answers itself.
const DaemonControl::Method DaemonControl::kMethods[] = {{"status", &DaemonControl::status, While::always},
                                                         {"tree", &DaemonControl::tree, While::always},
                                                         {"connections", &DaemonControl::connections, While::always},
                                                         {"stats", &DaemonControl::stats, While::always},
                                                         {"penalties", &DaemonControl::penalties, While::always},
                                                         {"config", &DaemonControl::config, While::always},
                                                         {"explain", &DaemonControl::explain, While::always},
                                                         {"drain", &DaemonControl::drain, While::not_stopping},
                                                         {"restart", &DaemonControl::restart, While::not_stopping},
                                                         {"stop", &DaemonControl::stop, While::not_stopping},
                                                         {"start", &DaemonControl::start, While::not_stopping},
                                                         {"delete", &DaemonControl::remove, While::not_stopping},
                                                         {"add", &DaemonControl::add, While::not_stopping},
                                                         {"scale", &DaemonControl::scale, While::not_stopping},
                                                         {"suspend", &DaemonControl::suspend, While::not_stopping},
                                                         {"resume", &DaemonControl::resume, While::not_stopping},
                                                         {"kill", &DaemonControl::kill, While::always},
                                                         {"check", &DaemonControl::check, While::always},
                                                         {"diff", &DaemonControl::diff, While::always},
                                                         {"reload", &DaemonControl::reload, While::not_stopping},
                                                         {"upgrade", &DaemonControl::upgrade, While::not_stopping},
                                                         {"reopen", &DaemonControl::reopen, While::always},
                                                         {"shutdown", &DaemonControl::shutdown, While::always}};

void DaemonControl::call(const std::string& name, const Params& params, protocol::Reply reply) {
  const auto* const method = std::ranges::find(kMethods, name, &Method::name);
  if (method == std::end(kMethods)) return reply(refused("not available"));
  if (daemon_.is_stopping() && method->allowed == While::not_stopping) return reply(refused("the daemon is stopping"));
  (this->*method->carry_out)(params, std::move(reply));
}

Answer DaemonControl::no_such_path(const char* what, const std::string& path) const {
  std::vector<std::string> paths;
  std::vector<std::string> supervisors{"root"};
  while (!supervisors.empty()) {
    const auto supervisor = daemon_.tree_.node(*daemon_.tree_.find(supervisors.back()), now());
    supervisors.pop_back();
    for (const NodeId child : supervisor->children) {
      const auto view = daemon_.tree_.node(child, now());
      paths.push_back(view->path);
      if (supervision::supervises(view->spec->type)) supervisors.push_back(view->path);
    }
  }
  std::string text = fmt::format("{} {}", what, path);
  const std::string near = config::nearest(path, {paths.begin(), paths.end()});
  if (!near.empty()) text += fmt::format("; did you mean {}?", near);
  return no_such(text);
}

control::World DaemonControl::world() const {
  return {daemon_.tree_,      daemon_.listeners_, daemon_.workers_,
          daemon_.processes_, daemon_.adoption_,  daemon_.generation_};
}

std::vector<net::Listener*> DaemonControl::listeners_below(const std::string& path) const {
  std::vector<net::Listener*> out;
  for (const auto& [at, listener] : daemon_.listeners_) {
    if (at == path || at.starts_with(path + "/")) out.push_back(listener.get());
  }
  return out;
}

void DaemonControl::operate(Operation operation, const std::string& supervisor, const std::string& id, Then then,
                            ChildSpec spec) {
  const std::uint64_t token = next_token_++;
  pending_[token] = std::move(then);
  daemon_.apply(OperationRequested{token, operation, supervisor, id, std::move(spec)});
}

void DaemonControl::on_reply(const supervision::Reply& reply) {
  const auto found = pending_.find(reply.token);
  if (found == pending_.end()) return;
  const Then then = std::move(found->second);
  pending_.erase(found);
  then(reply.error);
}

void DaemonControl::tree(const Params&, protocol::Reply reply) {
  reply({control::tree_json(world()), std::nullopt});
}

void DaemonControl::connections(const Params&, protocol::Reply reply) {
  const auto list = std::make_shared<control::ConnectionList>(daemon_.listeners_);
  reply({nullptr, std::nullopt, [list](std::string& out) { return list->next(out); }});
}

void DaemonControl::stats(const Params&, protocol::Reply reply) {
  reply({control::stats_json(world()), std::nullopt});
}

void DaemonControl::config(const Params&, protocol::Reply reply) {
  reply({ordered_json::parse(daemon_.effective_, nullptr, false), std::nullopt});
}

void DaemonControl::check(const Params& params, protocol::Reply reply) {
  reply(daemon_.reload_.check(params.value("file", "")));
}

void DaemonControl::diff(const Params& params, protocol::Reply reply) {
  reply(daemon_.reload_.diff(params.value("file", "")));
}

void DaemonControl::reopen(const Params&, protocol::Reply reply) {
  daemon_.reopen_log();
  reply(ok());
}

void DaemonControl::shutdown(const Params& params, protocol::Reply reply) {
  reply(ok());  // first: what follows may be over at once, and the socket with it
  if (params.value("now", false)) {
    daemon_.stop_.fast();
  } else {
    daemon_.stop_gracefully();
  }
}

void DaemonControl::status(const Params&, protocol::Reply reply) {
  const auto phase = daemon_.stop_.phase();
  const bool idle = phase == procedure::StopSequence::Phase::idle;
  reply({{{"pid", getpid()},
          {"version", daemon_.options_.version},
          {"state", idle && !daemon_.ready_          ? "starting"
                    : idle && daemon_.endings_.all() ? "draining"
                                                     : procedure::phase_text(phase)},
          {"generation", daemon_.generation_},
          {"uptime_seconds", std::chrono::duration<double>(now() - daemon_.started_).count()},
          {"config", daemon_.config_->file},
          {"last_reload", daemon_.reload_.last()},
          {"last_upgrade", daemon_.upgrade_.last()}},
         std::nullopt});
}

void DaemonControl::explain(const Params& params, protocol::Reply reply) {
  const std::string path = params.at("path");
  const auto view = [this](const std::string& at) {
    const auto id = daemon_.tree_.find(at);
    return id ? daemon_.tree_.node(*id, now()) : std::nullopt;
  };
  const auto node = view(path);
  if (!node) return reply(no_such_path("node", path));
  reply({journal::explain(daemon_.events_, path, supervision::kNodeStateWords.text(node->state),
                          [&view](const std::string& supervisor) {
                            const auto at = view(supervisor);
                            return at && at->spec->flags.strategy != Strategy::one_for_one;
                          }),
         std::nullopt});
}

// Stops it and starts it again. The listeners below keep their ports and their connections: only workers change.
void DaemonControl::restart(const Params& params, protocol::Reply reply) {
  const std::string path = path_of(params);
  const auto [supervisor, id] = split(path);
  if (supervisor.empty()) return reply(refused("the root is not restarted; use shutdown"));
  operate(Operation::terminate_child, supervisor, id, [this, params, path, reply](ReplyError error) {
    if (error != ReplyError::none) return reply(answer_of(error, path));
    start(params, reply);
  });
}

// A listener is drained first, as at the daemon's stop; what is no listener is just stopped.
void DaemonControl::stop(const Params& params, protocol::Reply reply) {
  const std::string path = path_of(params);
  if (supervision::parent_of(path).empty()) return reply(refused("the root is not stopped; use shutdown"));
  daemon_.endings_.end(path, {}, [path, reply](ReplyError error) { reply(answer_of(error, path)); });
}

// As stop, but in the daemon's own time: with its lame duck, and without holding up who asks.
void DaemonControl::drain(const Params& params, protocol::Reply reply) {
  std::vector<std::string> paths;
  if (params.contains("path")) {
    paths.push_back(path_of(params));
    if (daemon_.listener_at(paths.front()) == nullptr) return reply(no_such_path("listener", paths.front()));
  } else {
    for (const auto& [path, listener] : daemon_.listeners_) paths.push_back(path);
  }
  const bool wait = params.value("wait", false) && !paths.empty();
  const auto left = std::make_shared<std::size_t>(paths.size());
  const auto worst = std::make_shared<Answer>(ok());
  for (const std::string& path : paths) {
    daemon_.endings_.end(path, daemon_.config_->lame_duck, [=](ReplyError error) {
      if (error == ReplyError::restarting) *worst = refused(path + " was resumed");
      if (--*left == 0 && wait) reply(*worst);
    });
  }
  if (!wait) reply(ok());
}

void DaemonControl::start(const Params& params, protocol::Reply reply) {
  const std::string path = path_of(params);
  const auto [supervisor, id] = split(path);
  operate(Operation::restart_child, supervisor, id, [path, reply](ReplyError error) { reply(answer_of(error, path)); });
}

void DaemonControl::remove(const Params& params, protocol::Reply reply) {
  const std::string path = path_of(params);
  const auto erase = [this, path, reply] {
    const auto [supervisor, id] = split(path);
    operate(Operation::delete_child, supervisor, id, [this, path, reply](ReplyError error) {
      if (error == ReplyError::none) forget(path);
      if (error == ReplyError::none) forget_added(path);
      reply(answer_of(error, path));
    });
  };
  if (daemon_.endings_.touches(path)) return reply(answer_of(ReplyError::running, path));
  const auto id = daemon_.tree_.find(path);
  const auto view = id ? daemon_.tree_.node(*id, now()) : std::nullopt;
  const bool ended = view && (view->state == NodeState::stopped || view->state == NodeState::failed);
  if (!ended || daemon_.endings_.to_end(path).empty()) return erase();
  // It gave up, and connections of it go on.
  daemon_.endings_.end(path, {}, [path, reply, erase](ReplyError error) {
    if (error != ReplyError::none) return reply(answer_of(error, path));
    erase();
  });
}

void DaemonControl::forget(const std::string& path) {
  for (net::Listener* listener : listeners_below(path)) {
    daemon_.stop_.forget(*listener);
    daemon_.endings_.forget(*listener);
    daemon_.adoption_.forget(*listener);
    daemon_.errors_.forget(*listener);
    daemon_.listeners_.erase(std::string(listener->path()));
  }
}

// One after another, for "one more" means one more than what the one before comes to.
void DaemonControl::scale(const Params& params, protocol::Reply reply) {
  const std::string path = params.at("path");
  auto& waiting = scaling_[path];
  waiting.emplace_back([this, params, path, reply = std::move(reply)] {
    scale_now(params, [this, path, reply](const Answer& answer) {
      reply(answer);
      daemon_.later([this, path] {
        auto& left = scaling_[path];
        left.pop_front();
        if (left.empty()) {
          scaling_.erase(path);
        } else {
          left.front()();
        }
      });
    });
  });
  if (waiting.size() == 1) waiting.front()();
}

void DaemonControl::scale_now(const Params& params, protocol::Reply reply) {
  const std::string path = params.at("path");
  const auto id = daemon_.tree_.find(path);
  const auto view = id ? daemon_.tree_.node(*id, now()) : std::nullopt;
  if (!view || view->spec->type != NodeType::listener) return reply(no_such_path("listener", path));
  const auto& change = params.at("workers");
  std::int64_t wanted = 0;
  if (change.is_string()) {
    const std::string text = change;
    std::from_chars(text.data() + 1, text.data() + text.size(), wanted);
    wanted = static_cast<std::int64_t>(view->children.size()) + (text.front() == '-' ? -wanted : wanted);
  } else {
    wanted = change;
  }
  if (wanted < 1 || wanted > kMaxWorkers) {
    return reply(refused(fmt::format("a listener has 1 to {} workers, not {}", kMaxWorkers, wanted)));
  }
  scale_step(path, static_cast<std::uint32_t>(wanted), std::move(reply));
}

// One worker more or fewer, until it is right. The highest numbers come and go.
void DaemonControl::scale_step(const std::string& path, std::uint32_t wanted, protocol::Reply reply) {
  const auto id = daemon_.tree_.find(path);
  const auto view = id ? daemon_.tree_.node(*id, now()) : std::nullopt;
  if (!view) return reply(no_such("listener " + path));
  std::vector<unsigned long> numbers;
  for (const NodeId child : view->children) {
    if (const auto worker = daemon_.tree_.node(child, now())) numbers.push_back(std::stoul(worker->spec->id));
  }
  std::sort(numbers.begin(), numbers.end());
  const auto again = [this, path, wanted, reply](ReplyError error) {
    if (error != ReplyError::none) return reply(answer_of(error, path));
    scale_step(path, wanted, reply);
  };
  if (numbers.size() == wanted) return reply(ok());
  if (numbers.size() < wanted) {
    unsigned long number = 1;
    while (std::binary_search(numbers.begin(), numbers.end(), number)) ++number;
    const ChildSpec spec = config::worker_spec(static_cast<std::uint32_t>(number), view->spec->restart_delay);
    return operate(Operation::start_child, path, spec.id, again, spec);
  }
  const std::string last = std::to_string(numbers.back());
  operate(Operation::terminate_child, path, last, [this, path, last, again](ReplyError error) {
    if (error != ReplyError::none) return again(error);
    operate(Operation::delete_child, path, last, again);
  });
}

void DaemonControl::suspend(const Params& params, protocol::Reply reply) {
  set_suspended(path_of(params), true, std::move(reply));
}

void DaemonControl::resume(const Params& params, protocol::Reply reply) {
  set_suspended(path_of(params), false, std::move(reply));
}

void DaemonControl::set_suspended(const std::string& path, bool on, protocol::Reply reply) {
  const auto found = daemon_.listeners_.find(path);
  if (found == daemon_.listeners_.end()) return reply(no_such_path("listener", path));
  net::Listener& listener = *found->second;
  if (!on && daemon_.endings_.call_off(path)) return reply(ok());
  if (daemon_.endings_.touches(path)) return reply(refused(path + " is being drained; start it once that is over"));
  if (listener.suspended != on) {
    listener.suspended = on;
    daemon_.workers_.send(listener, on ? ipc::Down(ipc::Suspend{}) : ipc::Resume{});
    daemon_.events_.publish(on ? "listener_suspended" : "listener_resumed", path);
    log::Line(log::Level::info, path).text(on ? "suspended: new clients wait in the queue" : "resumed").write();
  }
  reply(ok());
}

// The terminal's driver sends these three too, so with a terminal they are no operator's.
void DaemonControl::obey(int signal) {
  if (sys::Fd(open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK))) return;
  if (daemon_.is_stopping()) {
    log::Line(log::Level::info, "root")
        .text(sys::signal_name(signal))
        .text(" is ignored: the daemon is stopping")
        .write();
    return;
  }
  std::vector<std::string> paths;
  for (const auto& [path, listener] : daemon_.listeners_) paths.push_back(path);
  for (const std::string& path : paths) {
    const auto tell = [path](const protocol::Answer& answer) {
      if (answer.failure) log::Line(log::Level::warning, path).text(answer.failure->message).write();
    };
    if (signal == SIGWINCH) {
      set_suspended(path, true, tell);
    } else {
      scale({{"path", path}, {"workers", signal == SIGTTIN ? "+1" : "-1"}}, tell);
    }
  }
}

void DaemonControl::reload(const Params& params, protocol::Reply reply) {
  const bool wait = params.value("wait", false);
  if (wait) return daemon_.reload_.begin(std::move(reply));
  daemon_.reload_.begin([](const Answer&) {});
  reply(ok());
}

void DaemonControl::upgrade(const Params& params, protocol::Reply reply) {
  if (params.value("wait", false)) return daemon_.upgrade_.begin(std::move(reply));
  if (daemon_.upgrade_.under_way()) return reply(refused("an upgrade is under way"));
  reply(ok());  // first: the program that answers may be another one
  daemon_.later([this] { daemon_.upgrade_.begin([](const Answer&) {}); });
}

std::string DaemonControl::busy_with() const {
  if (!daemon_.endings_.first().empty()) return daemon_.endings_.first() + " is being stopped";
  return pending_.empty() ? "" : "a command of an operator is under way";
}

void DaemonControl::penalties(const Params& params, protocol::Reply reply) {
  if (!params.contains("clear")) return reply({control::penalties_json(daemon_.listeners_), std::nullopt});
  const std::string text = params.at("clear");
  const auto prefix = control::prefix_of(text);
  if (!prefix) return reply(refused("not a network: " + text));
  const control::Forgiven forgiven = control::forgive(daemon_.listeners_, *prefix);
  if (forgiven.busy) return reply(refused("a table of sources is busy; try again"));
  if (forgiven.count == 0) return reply(no_such("penalised source within " + text));
  const std::string message = fmt::format("{} source{} let off", forgiven.count, forgiven.count == 1 ? "" : "s");
  log::Line(log::Level::info, "root").text("penalties: ").text(message).field("prefix", text).write();
  reply({{{"ok", true}, {"cleared", forgiven.count}, {"message", message}}, std::nullopt});
}

void DaemonControl::kill(const Params& params, protocol::Reply reply) {
  const std::string text = params.at("id");
  std::uint64_t id = 0;
  std::from_chars(text.data(), text.data() + text.size(), id, 16);
  const ipc::ConnectionName name = ipc::connection_name(id);
  const int signal = sys::signal_number(params.value("signal", "SIGTERM"));
  for (auto& [path, listener] : daemon_.listeners_) {
    if (listener->number() != name.listener) continue;
    const auto slot = listener->table().copy(name.slot);
    if (!slot || slot->use != name.use || slot->state != ipc::SlotState::serving) break;
    if (slot->owner == 0) {
      if (!daemon_.adoption_.signal_one(*listener, name.slot, name.use, signal)) break;
    } else {
      daemon_.workers_.send(*listener, ipc::Signal{name.slot, name.use, signal});
    }
    return reply(ok());
  }
  reply(no_such("connection " + text));
}

}  // namespace bulkhead
