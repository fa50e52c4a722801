#include "master/daemon_upgrade.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <nlohmann/json.hpp>
#include <utility>

#include "master/daemon.h"
#include "master/host/clock.h"
#include "master/host/descriptor_limit.h"
#include "master/upgrade/handover_descriptors.h"
#include "master/upgrade/program_file.h"
#include "worker/ipc/message.h"
#include "worker/log/log.h"

namespace bulkhead {

namespace {

using namespace std::chrono_literals;
using nlohmann::ordered_json;
using upgrade::Handover;

constexpr auto kQuietWithin = 10s;
constexpr auto kReadersWithin = 1s;  // of answers; whoever is slower has to ask again
constexpr auto kLookAgain = 5ms;

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (const std::string& one : strings) out.push_back(const_cast<char*>(one.c_str()));  // execve reads only
  out.push_back(nullptr);
  return out;
}

std::vector<std::string> environment_now() {
  std::vector<std::string> out;
  for (char** entry = environ; *entry != nullptr; ++entry) out.emplace_back(*entry);
  return out;
}

}  // namespace

std::vector<std::string> adopting_arguments(std::vector<std::string> arguments, int state, int program) {
  arguments.push_back(fmt::format("{}{},{}", kAdopt, state, program));
  return arguments;
}

DaemonUpgrade::DaemonUpgrade(Daemon& daemon)
    : daemon_(daemon),
      check_(daemon.loop_, [this](upgrade::ProgramCheck::Outcome outcome) { checked(std::move(outcome)); }),
      quiet_(daemon.loop_, [this] { look_whether_quiet(); }),
      renewal_(daemon),
      path_(upgrade::own_program_path()),
      last_(std::make_unique<ordered_json>(nullptr)) {}

DaemonUpgrade::~DaemonUpgrade() = default;

void DaemonUpgrade::begin(protocol::Reply reply) {
  const char* const why = under_way() || !behind_reload_.empty() ? "an upgrade is under way"
                          : daemon_.is_stopping()                ? "the daemon is stopping"
                          : !daemon_.ready_                      ? "the daemon is still starting"
                                                                 : nullptr;
  if (why != nullptr) {
    log::Line(log::Level::warning, "root").text("not upgraded: ").text(why).write();
    return reply(refused(why));
  }
  // What a reload tries out is not yet of any configuration that another program could go on with.
  if (daemon_.reload_.under_way()) return behind_reload_.push_back(std::move(reply));
  replies_.push_back(std::move(reply));
  stage_ = Stage::checking;
  daemon_.choose_signals();
  daemon_.events_.publish("upgrade_started", "root", {{"program", path_}});
  auto program = upgrade::open_program(path_);
  if (!program) return rolled_back(program.error().text());
  program_ = std::move(*program);
  Handover handover = hand_over();
  if (const auto error = upgrade::name_descriptors(handover)) return rolled_back(error->text());
  auto state = upgrade::seal_state(encode(handover));
  if (!state) return rolled_back(state.error().text());
  auto arguments = adopting_arguments(daemon_.options_.arguments, upgrade::kCheckedStateFd, -1);
  arguments.emplace_back(kDryRun);
  if (const auto error = check_.start(program_.get(), state->get(), std::move(arguments), environment_now())) {
    rolled_back(error->text());
  }
}

void DaemonUpgrade::go_on() {
  for (protocol::Reply& reply : std::exchange(behind_reload_, {})) begin(std::move(reply));
}

void DaemonUpgrade::daemon_stops() {
  go_on();  // which refuses it
  renewal_.abandon();
  switch (stage_) {
    case Stage::none: return;
    case Stage::checking: return check_.cancel("the daemon is stopping");
    case Stage::waiting: return rolled_back("the daemon is stopping");
    case Stage::renewing: return renewed("");
  }
}

void DaemonUpgrade::checked(upgrade::ProgramCheck::Outcome outcome) {
  if (!outcome.problem.empty()) return rolled_back(fmt::format("{}: {}", path_, outcome.problem));
  log::Line(log::Level::info, "root")
      .text("upgrading")
      .field("version", outcome.version)
      .field("previous", daemon_.options_.version)
      .write();
  wait_for_quiet();
}

void DaemonUpgrade::wait_for_quiet() {
  stage_ = Stage::waiting;
  quiet_deadline_ = now() + kQuietWithin;
  readers_deadline_ = now() + kReadersWithin;
  quiet_.start(0ms, kLookAgain);
}

// What is half done here could not be gone on with elsewhere.
std::string DaemonUpgrade::busy_with() const {
  if (daemon_.reload_.under_way()) return "a reload is under way";
  if (std::string busy = daemon_.control_.busy_with(); !busy.empty()) return busy;
  if (daemon_.applying_ || !daemon_.pending_.empty() || !daemon_.deeds_later_.empty()) return "the daemon is busy";
  return daemon_.adoption_.is_settled() ? "" : "a table of connections is busy";
}

void DaemonUpgrade::look_whether_quiet() {
  const std::string busy = busy_with();
  if (busy.empty() && daemon_.server_->is_answering() && now() < readers_deadline_) return;
  if (!busy.empty() && now() < quiet_deadline_) return;
  quiet_.stop();
  if (!busy.empty()) return rolled_back(busy);
  execute();
}

Handover DaemonUpgrade::hand_over() const {
  Handover out;
  out.version = daemon_.options_.version;
  out.pid = getpid();
  out.program = path_;
  out.incarnation = incarnation_;
  out.worker_protocol = ipc::kProtocolVersion;
  out.config_file = daemon_.config_->file;
  out.config = daemon_.effective_;
  out.settled = {static_cast<std::uint32_t>(daemon_.config_->log.level), daemon_.config_->log.target,
                 daemon_.config_->pid_file, daemon_.config_->control.socket};
  out.generation = daemon_.generation_;
  out.next_listener = daemon_.next_listener_;
  out.started = daemon_.started_;
  out.last_reload = daemon_.reload_.last().dump();
  out.last_upgrade = last_->dump();
  out.worker_program = daemon_.workers_.programs().plain.get();
  out.module_worker_program = daemon_.workers_.programs().modules.get();
  out.log_lines = daemon_.log_.lines.get();
  out.log_handlers = daemon_.log_.handlers.get();
  out.pid_file = daemon_.options_.pid_file.fd();
  out.services = daemon_.services_.hand_over();
  out.inherited = daemon_.options_.inherited.hand_over();
  out.control = daemon_.server_->hand_over();
  out.added = daemon_.control_.added();
  out.tree = daemon_.tree_.state();
  for (const auto& [path, listener] : daemon_.listeners_) out.listeners.push_back(listener->hand_over());
  out.workers = daemon_.workers_.hand_over();
  out.processes = daemon_.processes_.hand_over();
  out.remains = daemon_.processes_.hand_over_remains();
  out.errors = daemon_.errors_.hand_over();
  out.adoption = daemon_.adoption_.hand_over();
  out.runs = daemon_.narrator_.hand_over();
  out.descriptor_limit = host::original_descriptor_limit();
  out.last_seq = daemon_.events_.last_seq();
  out.events = daemon_.events_.records();
  return out;
}

// Returns only when it fails, and then nothing has changed.
std::optional<sys::Error> DaemonUpgrade::become(Handover& handover) {
  if (auto error = upgrade::name_descriptors(handover)) return error;
  auto state = upgrade::seal_state(encode(handover));
  if (!state) return state.error();
  const std::vector<std::string> arguments =
      adopting_arguments(daemon_.options_.arguments, state->get(), handover.own_program);
  const std::vector<std::string> environment = environment_now();
  const upgrade::Passage passage(handover, state->get());
  if (passage.error() != 0) return sys::Error{"pass on", "descriptor", passage.error()};
  execveat(program_.get(), "", pointers(arguments).data(), pointers(environment).data(), AT_EMPTY_PATH);
  return sys::Error{"execute", path_, errno};
}

void DaemonUpgrade::execute() {
  auto own = upgrade::open_own_program();
  if (!own) return rolled_back(own.error().text());
  daemon_.services_.reloading();
  Handover handover = hand_over();
  handover.own_program = own->get();
  // Nobody remembers over there what was asked of us and has not begun.
  if (daemon_.reload_.is_asked_for()) (void)::kill(getpid(), SIGHUP);
  const auto error = become(handover);
  daemon_.services_.ready();
  rolled_back(error->text());
}

void DaemonUpgrade::rolled_back(const std::string& reason) {
  log::Line(log::Level::error, "root").text("not upgraded: ").text(reason).write();
  daemon_.events_.publish("upgrade_rolled_back", "root", {{"reason", reason}});
  remember(reason);
  finish(refused(reason));
}

void DaemonUpgrade::done() {
  log::Line(log::Level::info, "root")
      .text("upgraded")
      .field("version", daemon_.options_.version)
      .field("previous", previous_version_)
      .write();
  daemon_.events_.publish("upgrade_done", "root",
                          {{"version", daemon_.options_.version}, {"previous", previous_version_}});
  remember("");
}

protocol::Answer DaemonUpgrade::refused(const std::string& why) {
  return {nullptr, protocol::Failure{protocol::kRefused, why, ""}};
}

void DaemonUpgrade::finish(const protocol::Answer& answer) {
  stage_ = Stage::none;
  quiet_.stop();
  program_.reset();
  for (const protocol::Reply& reply : std::exchange(replies_, {})) reply(answer);
  daemon_.choose_signals();
  daemon_.reload_.go_on();
}

void DaemonUpgrade::remember(const std::string& problem) {
  *last_ = {{"time", journal::wall_clock_text()},
            {"ok", problem.empty()},
            {"version", daemon_.options_.version},
            {"errors", problem.empty() ? ordered_json::array() : ordered_json::array({problem})}};
}

}  // namespace bulkhead
