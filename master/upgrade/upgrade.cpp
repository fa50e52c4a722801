#include "master/upgrade/upgrade.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <nlohmann/json.hpp>
#include <utility>

#include "master/host/clock.h"
#include "master/host/descriptor_limit.h"
#include "master/upgrade/arguments.h"
#include "master/upgrade/handover_descriptors.h"
#include "master/upgrade/program_file.h"
#include "worker/ipc/message.h"
#include "worker/log/log.h"

namespace bulkhead::upgrade {

namespace {

using namespace std::chrono_literals;
using nlohmann::ordered_json;

constexpr auto kQuietWithin = 10s;
constexpr auto kReadersWithin = 1s;  // for clients to read answers; a slower client has to ask again
constexpr auto kLookAgain = 5ms;
constexpr int kChecks = 3;

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

Upgrade::Upgrade(loop::Loop& loop, Estate estate, Surroundings surroundings)
    : estate_(estate),
      surroundings_(std::move(surroundings)),
      check_(loop, [this](const ProgramCheck::Outcome& outcome) { checked(outcome); }),
      quiet_(loop, [this] { look_whether_quiet(); }),
      renewal_({estate.engine, estate.listeners, estate.children, estate.later}),
      path_(surroundings_.program),
      last_(nullptr) {}

std::string Upgrade::why_not() const {
  if (under_way() || !behind_reload_.empty()) return "an upgrade is under way";
  if (surroundings_.is_stopping()) return procedure::kDaemonStops;
  return estate_.readiness.is_ready() ? "" : "the daemon is still starting";
}

void Upgrade::begin(Answered answered) {
  if (const std::string why = why_not(); !why.empty()) {
    log::Line(log::Level::warning, "root").text("not upgraded: ").text(why).write();
    return answered({why, "", ""});
  }
  // The trial of a reload belongs to no configuration yet that another program could continue with.
  if (estate_.reload.under_way()) return behind_reload_.push_back(std::move(answered));
  askers_.push_back(std::move(answered));
  stage_ = Stage::checking;
  checks_left_ = kChecks;
  surroundings_.on_change();
  estate_.events.publish("upgrade_started", "root", {{"program", path_}});
  if (const auto error = check()) rolled_back(error->text());
}

// Opens the program and begins its dry run.
std::optional<sys::Error> Upgrade::check() {
  auto program = open_program(path_);
  if (!program) return program.error();
  program_ = std::move(*program);
  Handover handover = hand_over();
  checked_ = essence_of(handover);
  --checks_left_;
  if (auto error = name_descriptors(handover)) return error;
  auto state = seal_state(encode(handover));
  if (!state) return state.error();
  auto arguments = adopting_arguments(surroundings_.arguments, kCheckedStateFd, -1);
  arguments.emplace_back(kDryRun);
  return check_.start(program_.get(), state->get(), std::move(arguments), environment_now());
}

void Upgrade::go_on() {
  for (Answered& answered : std::exchange(behind_reload_, {})) begin(std::move(answered));
}

void Upgrade::daemon_stops() {
  go_on();  // which refuses it
  renewal_.abandon();
  switch (stage_) {
    case Stage::none: return;
    case Stage::checking: return check_.cancel(procedure::kDaemonStops);
    case Stage::waiting: return rolled_back(procedure::kDaemonStops);
    case Stage::renewing: return renewed({});
  }
}

void Upgrade::checked(const ProgramCheck::Outcome& outcome) {
  if (!outcome.problem.empty()) return rolled_back(fmt::format("{}: {}", path_, outcome.problem));
  if (stage_ != Stage::checking) return;
  log::Line(log::Level::info, "root")
      .text("upgrading")
      .field("version", outcome.version)
      .field("previous", surroundings_.version)
      .write();
  wait_for_quiet();
}

void Upgrade::wait_for_quiet() {
  stage_ = Stage::waiting;
  quiet_deadline_ = now() + kQuietWithin;
  readers_deadline_ = now() + kReadersWithin;
  quiet_.start(0ms, kLookAgain);
}

// A step that is half done here could not be continued by another program.
std::string Upgrade::busy_with() const {
  if (estate_.reload.under_way()) return "a reload is under way";
  if (estate_.engine.has_unanswered()) return "a command of an operator is under way";
  if (!estate_.engine.is_quiet() || !estate_.later.is_empty()) return "the daemon is busy";
  return estate_.children.is_settled() ? "" : "a table of connections is busy";
}

void Upgrade::look_whether_quiet() {
  const std::string busy = busy_with();
  if (busy.empty() && surroundings_.clients_wait() && now() < readers_deadline_) return;
  if (!busy.empty() && now() < quiet_deadline_) return;
  quiet_.stop();
  if (!busy.empty()) return rolled_back(busy);
  execute();
}

void Upgrade::check_again() {
  if (checks_left_ == 0) {
    return rolled_back("the tree of processes changed each time while the new program was checked; upgrade again");
  }
  stage_ = Stage::checking;
  if (const auto error = check()) rolled_back(error->text());
}

// Everything on which the verdict of a dry run depends: a change calls for another one.
std::string Upgrade::essence_of(const Handover& state) {
  Handover essence;
  essence.config = state.config;
  essence.added = state.added;
  essence.leaving = state.leaving;
  essence.identities = state.identities;
  for (const supervision::NodeRecord& node : state.tree.nodes) {
    supervision::NodeRecord& same = essence.tree.nodes.emplace_back();
    same.id = node.id;
    same.parent = node.parent;
    same.name = node.name;
    same.type = node.type;
  }
  for (const net::ListenerHandover& listener : state.listeners) {
    net::ListenerHandover& same = essence.listeners.emplace_back();
    same.path = listener.path;
    for (const net::SocketHandover& socket : listener.sockets)
      same.sockets.push_back({0, socket.address, -1, "", 0, 0, -1});
  }
  return encode(essence);
}

Handover Upgrade::hand_over() const {
  Handover out;
  add_settings(out);
  add_descriptors(out);
  out.control = surroundings_.hand_over_clients();
  out.operations = estate_.operations.hand_over();
  out.endings = estate_.endings.hand_over();
  add_reload(out);
  out.tree = estate_.engine.state();
  for (const net::Listener* listener : estate_.listeners.all()) {
    out.listeners.push_back(listener->hand_over());
    out.listeners.back().announced = estate_.readiness.has_announced(listener->path());
  }
  static_cast<process::ChildrenHandover&>(out) = estate_.children.hand_over();
  out.runs = estate_.narrator.hand_over();
  for (journal::RunHandover& run : out.runs) run.asked = run.asked || estate_.children.was_asked(run.run);
  out.last_seq = estate_.events.last_seq();
  out.events = estate_.events.records();
  return out;
}

void Upgrade::add_settings(Handover& out) const {
  const running::Catalogue& catalogue = estate_.catalogue;
  const config::Config& config = catalogue.config();
  out.version = surroundings_.version;
  out.pid = getpid();
  out.program = path_;
  out.incarnation = incarnation_;
  out.worker_protocol = ipc::kProtocolVersion;
  out.config_file = config.file;
  out.config = catalogue.effective();
  out.settled = {static_cast<std::uint32_t>(config.log.level), config.log.target, config.pid_file,
                 config.control.socket};
  out.generation = catalogue.generation();
  out.next_listener = estate_.listeners.next_number();
  out.started = estate_.started;
  out.last_reload = estate_.reload.last().dump();
  out.last_upgrade = last_.dump();
  out.added = catalogue.added();
  out.leaving = catalogue.leaving();
  out.overrides = catalogue.overrides().record();
  out.pools = estate_.users.record();
  catalogue.for_each_top([&out](const std::string& path, const config::Node& node) {
    add_identities(node, path, out.identities);
    add_variables(node, path, out.variables);
  });
  out.descriptor_limit = host::original_descriptor_limit();
}

void Upgrade::add_reload(Handover& out) const {
  out.reload_asked = estate_.reload.is_asked_for();
  if (out.reload_asked) out.reload_wishes = {estate_.reload.wishes().reset, estate_.reload.wishes().confirm};
  const auto& waiting = estate_.reload.unconfirmed();
  if (!waiting) return;
  UnconfirmedHandover& to = out.unconfirmed.emplace();
  to.config = waiting->before.effective;
  to.limit = waiting->limit;
  to.until = waiting->until;
  add_identities(waiting->before.config->root, "root", to.identities);
  add_variables(waiting->before.config->root, "root", to.variables);
}

void Upgrade::add_descriptors(Handover& out) const {
  out.worker_program = estate_.children.programs().plain.get();
  out.module_worker_program = estate_.children.programs().modules.get();
  out.log_lines = estate_.log.target().lines.get();
  out.log_handlers = estate_.log.target().handlers.get();
  out.pid_file = estate_.pid_file.fd();
  out.services = estate_.services.manager().hand_over();
  out.inherited = estate_.inherited.hand_over();
}

// Returns only if it fails; then nothing has changed.
sys::Error Upgrade::become(Handover& handover) {
  if (auto error = name_descriptors(handover)) return *error;
  auto state = seal_state(encode(handover));
  if (!state) return state.error();
  const std::vector<std::string> arguments =
      adopting_arguments(surroundings_.arguments, state->get(), handover.own_program);
  const std::vector<std::string> environment = environment_now();
  const Passage passage(handover, state->get());
  if (passage.error() != 0) return sys::Error{"pass on", "descriptor", passage.error()};
  execveat(program_.get(), "", pointers(arguments).data(), pointers(environment).data(), AT_EMPTY_PATH);
  return sys::Error{"execute", path_, errno};
}

void Upgrade::execute() {
  auto own = open_own_program();
  if (!own) return rolled_back(own.error().text());
  Handover handover = hand_over();
  if (essence_of(handover) != checked_) return check_again();
  estate_.services.manager().reloading();
  handover.own_program = own->get();
  const sys::Error error = become(handover);
  estate_.services.manager().ready();
  rolled_back(error.text());
}

void Upgrade::rolled_back(const std::string& reason) {
  log::Line(log::Level::error, "root").text("not upgraded: ").text(reason).write();
  estate_.events.publish("upgrade_rolled_back", "root", {{"reason", reason}});
  remember(reason);
  finish(reason);
}

void Upgrade::done() {
  log::Line(log::Level::info, "root")
      .text("upgraded")
      .field("version", surroundings_.version)
      .field("previous", previous_version_)
      .write();
  estate_.events.publish("upgrade_done", "root", {{"version", surroundings_.version}, {"previous", previous_version_}});
  remember("");
}

void Upgrade::finish(const std::string& problem) {
  stage_ = Stage::none;
  quiet_.stop();
  program_.reset();
  checked_.clear();
  for (const Answered& answered : std::exchange(askers_, {})) {
    answered({problem, surroundings_.version, previous_version_});
  }
  surroundings_.on_change();
}

void Upgrade::remember(const std::string& problem) {
  last_ = {{"time", journal::wall_clock_text()},
           {"ok", problem.empty()},
           {"version", surroundings_.version},
           {"errors", problem.empty() ? ordered_json::array() : ordered_json::array({problem})}};
}

}  // namespace bulkhead::upgrade
