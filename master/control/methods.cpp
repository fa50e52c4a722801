#include "master/control/methods.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

#include "master/config/counted.h"
#include "master/config/duration.h"
#include "master/control/answers.h"
#include "master/control/peer_kill.h"
#include "master/control/penalties.h"
#include "master/supervision/path.h"
#include "master/supervision/words.h"
#include "worker/ipc/connection_log.h"
#include "worker/log/log.h"
#include "worker/sys/signal_name.h"

namespace bulkhead::control {

namespace {

using procedure::Outcome;

constexpr std::chrono::seconds kLeastConfirm{1};
constexpr std::chrono::hours kMostConfirm{24};

std::string path_of(const nlohmann::ordered_json& params) {
  return params.at("path").get<std::string>();
}

nlohmann::ordered_json restarted_json(const std::string& path, bool together, const std::vector<std::string>& others,
                                      supervision::Strategy strategy) {
  nlohmann::ordered_json out{{"ok", true}, {together ? "dependents" : "left", others}};
  const std::string_view word = supervision::kStrategyWords.text(strategy);
  const std::string all = fmt::format("{}", fmt::join(others, ", "));
  if (others.empty()) {
    out["message"] = fmt::format("{} has been restarted; under {}, nothing that runs is tied to it", path, word);
  } else if (together) {
    out["message"] = fmt::format("{} has been restarted, and with it {}", path, all);
  } else {
    out["message"] =
        fmt::format("{} has been restarted alone; {} ties these to it, and --with-dependents restarts them too: {}",
                    path, word, all);
  }
  return out;
}

}  // namespace

// A wrong path is answered with the nearest one, and a failed start with its reason.
procedure::Done Methods::answer_about(std::string path, Reply reply) const {
  return
      [this, path = std::move(path), reply = std::move(reply), since = parts_.failures.now()](const Outcome& outcome) {
        if (outcome.word == supervision::ReplyError::start_failed) {
          return reply(not_started(outcome, parts_.failures.why(path, since)));
        }
        const bool unknown =
            outcome.word == supervision::ReplyError::noproc || outcome.word == supervision::ReplyError::not_found;
        if (outcome.kind != Outcome::Kind::negative || !unknown || parts_.engine.has(path)) {
          return reply(answer_of(outcome));
        }
        Outcome nearest = procedure::no_such(parts_.engine, "node", path);
        nearest.word = outcome.word;
        reply(answer_of(nearest));
      };
}

const Methods::Method Methods::kMethods[] = {{"status", &Methods::status, While::always},
                                             {"tree", &Methods::tree, While::always},
                                             {"connections", &Methods::connections, While::always},
                                             {"stats", &Methods::stats, While::always},
                                             {"penalties", &Methods::penalties, While::always},
                                             {"config", &Methods::config, While::always},
                                             {"explain", &Methods::explain, While::always},
                                             {"sandbox", &Methods::sandbox, While::always},
                                             {"logs", &Methods::logs, While::always},
                                             {"drain", &Methods::drain, While::not_stopping},
                                             {"restart", &Methods::restart, While::not_stopping},
                                             {"stop", &Methods::stop, While::not_stopping},
                                             {"start", &Methods::start, While::not_stopping},
                                             {"delete", &Methods::remove, While::not_stopping},
                                             {"add", &Methods::add, While::not_stopping},
                                             {"scale", &Methods::scale, While::not_stopping},
                                             {"suspend", &Methods::suspend, While::not_stopping},
                                             {"resume", &Methods::resume, While::not_stopping},
                                             {"signal", &Methods::signal, While::always},
                                             {"kill", &Methods::kill, While::always},
                                             {"check", &Methods::check, While::always},
                                             {"diff", &Methods::diff, While::always},
                                             {"reload", &Methods::reload, While::not_stopping},
                                             {"confirm", &Methods::confirm, While::not_stopping},
                                             {"upgrade", &Methods::upgrade, While::not_stopping},
                                             {"reopen", &Methods::reopen, While::always},
                                             {"shutdown", &Methods::shutdown, While::always}};

void Methods::call(const std::string& name, const Params& params, Reply reply) {
  const auto* const method = std::ranges::find(kMethods, name, &Method::name);
  if (method == std::end(kMethods)) return reply(refused("not available"));
  if (parts_.shutdown.is_stopping() && method->allowed == While::not_stopping) {
    return reply(refused(procedure::kDaemonStops));
  }
  const auto path = params.find("path");
  if (path != params.end() && name != "explain" && is_disabled(*path)) {
    return reply(refused(fmt::format("{} is disabled in the file", path->get<std::string>())));
  }
  (this->*method->carry_out)(params, std::move(reply));
}

bool Methods::is_disabled(const std::string& path) const {
  return !parts_.engine.has(path) && parts_.catalogue.is_disabled(path);
}

void Methods::call_again(Unanswered call) {
  try {
    this->call(call.method, call.params, call.reply);
  } catch (const std::exception&) {  // not what the other program would write
    call.reply(refused("the request was lost in an upgrade"));
  }
}

// A restart by an operator leaves alone what a restart by strategy would not, and the answer says so.
void Methods::restart(const Params& params, Reply reply) {
  const std::string path = path_of(params);
  const bool together = params.value("with_dependents", false);
  std::vector<std::string> others;
  if (together || params.value("remark", false)) others = parts_.operations.dependents_of(path);
  const auto supervisor = parts_.engine.view(supervision::parent_of(path));
  Reply answered = std::move(reply);
  if (together || !others.empty()) {
    answered = [path, together, others, answered = std::move(answered),
                strategy =
                    supervisor ? supervisor->spec->flags.strategy : supervision::Strategy::one_for_one](Answer answer) {
      if (!answer.failure) answer.result = restarted_json(path, together, others, strategy);
      answered(std::move(answer));
    };
  }
  procedure::Done done = answer_about(path, std::move(answered));
  if (together) return parts_.operations.restart_with_dependents(path, std::move(done));
  parts_.operations.restart(path, std::move(done));
}

void Methods::stop(const Params& params, Reply reply) {
  parts_.operations.stop(path_of(params), answer_about(path_of(params), std::move(reply)));
}

void Methods::start(const Params& params, Reply reply) {
  parts_.operations.start(path_of(params), answer_about(path_of(params), std::move(reply)));
}

void Methods::remove(const Params& params, Reply reply) {
  parts_.operations.remove(path_of(params), answer_about(path_of(params), std::move(reply)));
}

void Methods::suspend(const Params& params, Reply reply) {
  parts_.operations.suspend(path_of(params), answer_with(std::move(reply)));
}

void Methods::resume(const Params& params, Reply reply) {
  parts_.operations.resume(path_of(params), answer_with(std::move(reply)));
}

void Methods::drain(const Params& params, Reply reply) {
  const auto listener = params.contains("path") ? std::optional(path_of(params)) : std::nullopt;
  if (params.value("wait", false)) return parts_.operations.drain(listener, answer_with(std::move(reply)));
  const Outcome named = listener ? procedure::listener_named(parts_.engine, parts_.listeners, *listener) : Outcome{};
  if (!named) return reply(answer_of(named));
  parts_.operations.drain(listener, [](const Outcome&) {});
  reply(ok());
}

// Reads the child as a file of its own, so that its problems have positions; line breaks in the text are kept. The
// supervisor decides whether the child may be significant.
void Methods::add(const Params& params, Reply reply) {
  const std::string supervisor = path_of(params);
  const auto view = parts_.engine.view(supervisor);
  if (!view || view->spec->type != supervision::NodeType::supervisor) {
    return reply(answer_of(procedure::outcome_of(supervision::ReplyError::noproc, supervisor)));
  }
  running::AddedChild origin;
  origin.supervisor = supervisor;
  origin.text = running::text_with(params.at("child").get<std::string>(), view->spec->flags.auto_shutdown,
                                   parts_.catalogue.config().uid_pool);
  origin.file = params.value("file", "child");
  origin.directory = params.value("directory", "/");
  config::Loaded loaded = config::parse(origin.text, origin.file, origin.directory);
  if (!loaded.config) {
    const std::string problems = fmt::format("{}", fmt::join(config::texts_of(loaded.problems), "\n"));
    return reply(answer_of(procedure::negative(supervision::ReplyError::invalid_spec, problems)));
  }
  if (!loaded.config->root.disabled.empty()) return reply(refused("the child is disabled (\"enabled\": false)"));
  if (loaded.config->root.children.size() != 1) return reply(refused("the request must contain exactly one child"));
  const std::string path = supervisor + "/" + loaded.config->root.children.front().spec.id;
  parts_.operations.add(std::move(loaded.config->root.children.front()), std::move(origin),
                        answer_about(path, std::move(reply)));
}

void Methods::scale(const Params& params, Reply reply) {
  const auto& change = params.at("workers");
  auto done = answer_with(std::move(reply));
  if (!change.is_string()) return parts_.scaling.set(path_of(params), change, std::move(done));
  const std::string text = change;
  std::int64_t by = 0;
  std::from_chars(text.data() + 1, text.data() + text.size(), by);
  parts_.scaling.change(path_of(params), text.front() == '-' ? -by : by, std::move(done));
}

// The process itself, not its group: its group did not ask for it.
void Methods::signal(const Params& params, Reply reply) {
  const std::string path = path_of(params);
  const auto node = parts_.engine.view(path);
  if (!node) return reply(answer_of(procedure::no_such(parts_.engine, "node", path)));
  if (node->spec->type != supervision::NodeType::process) {
    return reply(no(path + " is not a process but a " + std::string(supervision::kNodeTypeWords.text(node->spec->type)),
                    "not_a_process"));
  }
  const int signal = sys::signal_number(params.at("signal").get<std::string>());
  if (!parts_.children.signal_process(node->run, signal)) return reply(no(path + " is not running", "not_running"));
  reply(ok());
}

void Methods::kill_by_peer(const std::string& peer, int signal, Reply reply) {
  const auto filter = PeerFilter::of(peer);
  if (!filter) return reply(refused("not a client: " + peer));
  const auto kill =
      std::make_shared<PeerKill>(parts_.loop, parts_.children, parts_.listeners.by_path(), *filter, signal);
  kill->begin([peer, reply = std::move(reply)](std::uint64_t count) {
    if (count == 0) return reply(no_such("connection of " + peer));
    const std::string message =
        config::counted(count, "connection") + (count == 1 ? " has been signalled" : " have been signalled");
    reply({{{"ok", true}, {"signalled", count}, {"message", message}}, std::nullopt});
  });
}

void Methods::kill(const Params& params, Reply reply) {
  const int signal = sys::signal_number(params.value("signal", "SIGTERM"));
  if (params.contains("peer")) return kill_by_peer(params.at("peer"), signal, std::move(reply));
  const std::string text = params.at("id");
  std::uint64_t id = 0;
  std::from_chars(text.data(), text.data() + text.size(), id, 16);
  const ipc::ConnectionName name = ipc::connection_name(id);
  for (net::Listener* listener : parts_.listeners.all()) {
    if (listener->number() != name.listener) continue;
    switch (parts_.children.signal_connection(*listener, name.slot, name.use, signal)) {
      case running::Signalled::yes: return reply(ok());
      case running::Signalled::not_yet: return reply(refused("its worker is busy: try again"));
      case running::Signalled::gone: break;
    }
  }
  reply(no_such("connection " + text));
}

void Methods::penalties(const Params& params, Reply reply) {
  const auto& listeners = parts_.listeners.by_path();
  if (!params.contains("clear")) return reply({penalties_json(listeners), std::nullopt});
  const std::string text = params.at("clear");
  const auto prefix = prefix_of(text);
  if (!prefix) return reply(refused("not a network: " + text));
  forgive(parts_.children, listeners, *prefix, [text, reply = std::move(reply)](std::uint64_t count) {
    if (count == 0) return reply(no_such("penalised source in " + text));
    const std::string message = fmt::format("{} penalt{} cleared", count, count == 1 ? "y" : "ies");
    log::Line line(log::Level::info, "root");
    line.text(message);
    if (line.addresses() == log::Addresses::full) line.field("prefix", text);
    line.write();
    reply({{{"ok", true}, {"cleared", count}, {"message", message}}, std::nullopt});
  });
}

void Methods::reload(const Params& params, Reply reply) {
  reload::Reload::Wishes wishes{params.value("reset", false), {}};
  if (params.contains("confirm")) wishes.confirm = config::parse_duration(params.at("confirm").get<std::string>());
  const bool in_range = wishes.confirm && *wishes.confirm >= kLeastConfirm && *wishes.confirm <= kMostConfirm;
  if (params.contains("confirm") && !in_range) return reply(refused("the time to confirm a reload is 1s to 24h"));
  if (wishes.confirm && wishes.reset) {
    return reply(refused("--reset cannot be taken back, so it does not go with --confirm: reload first, then reset"));
  }
  if (!params.value("wait", false)) {
    parts_.reload.begin([](const reload::Reload::Result&) {}, wishes);
    return reply(ok());
  }
  parts_.reload.begin([reply = std::move(reply)](const reload::Reload::Result& result) { reply(answer_of(result)); },
                      wishes);
}

void Methods::confirm(const Params&, Reply reply) {
  switch (parts_.reload.confirm()) {
    case reload::Confirmation::Answer::confirmed: return reply(ok());
    case reload::Confirmation::Answer::too_late:
      return reply(no("too late: the configuration before is coming back", "restarting"));
    case reload::Confirmation::Answer::nothing_waits: break;
  }
  reply(no("no reload waits to be confirmed", "not_found"));
}

upgrade::Upgrade::Answered Methods::answer_to_upgrade(Reply reply) {
  return [reply = std::move(reply)](const upgrade::Upgrade::Result& result) {
    if (!result.problem.empty()) return reply(refused(result.problem));
    reply({{{"ok", true}, {"version", result.version}, {"previous", result.previous}}, std::nullopt});
  };
}

void Methods::upgrade(const Params& params, Reply reply) {
  const bool is_refused = !parts_.upgrade.why_not().empty();
  if (is_refused || params.value("wait", false)) return parts_.upgrade.begin(answer_to_upgrade(std::move(reply)));
  reply(ok());  // answered first: a new program may run afterwards
  parts_.later([this] { parts_.upgrade.begin([](const upgrade::Upgrade::Result&) {}); });
}

void Methods::reopen(const Params&, Reply reply) {
  const auto problems = parts_.log.reopen(parts_.catalogue.config().log);
  reply(problems.empty() ? ok() : refused(problems));
}

void Methods::shutdown(const Params& params, Reply reply) {
  reply(ok());  // answered first: the shutdown may be over at once, and the socket closed
  if (params.value("now", false)) {
    parts_.shutdown.fast();
  } else {
    parts_.shutdown.graceful(parts_.readiness.is_ready());
  }
}

}  // namespace bulkhead::control
