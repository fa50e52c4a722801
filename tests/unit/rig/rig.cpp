#include "tests/unit/rig/rig.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>
#include <uv.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "master/config/tree_of_config.h"
#include "master/host/log_target.h"
#include "worker/ipc/table/robust_lock.h"
#include "worker/log/log.h"

namespace bulkhead::rig {

namespace {

// Names of abstract sockets are the whole machine's.
std::string with_own_names(std::string text) {
  constexpr std::string_view kPrefix = "unix:@";
  const std::string own = fmt::format("bulkhead-test-{}-", getpid());
  for (auto at = text.find(kPrefix); at != std::string::npos; at = text.find(kPrefix, at + 1)) {
    text.insert(at + kPrefix.size(), own);
  }
  return text;
}

config::Config config_in(config::Loaded loaded) {
  if (loaded.config) return std::move(*loaded.config);
  std::string problems;
  for (const config::Problem& problem : loaded.problems) problems += problem.text() + "\n";
  throw std::logic_error(problems);
}

host::LogTarget no_log_target() {
  static auto nowhere = host::open_log_target("/dev/null");  // for as long as this process writes lines
  log::configure({.fd = nowhere->lines.get()});
  return {};
}

running::Children::Settings settings_of(const config::Config& config) {
  return {config.log, 1, STDERR_FILENO};
}

}  // namespace

std::string file_with(std::string_view children, std::string_view daemon_keys, std::string_view root_keys) {
  return fmt::format(
      R"({{"control":{{"socket":"/tmp/nonexistent"}},"log":{{"target":"/dev/null"}},"daemon":{{"uid_pool":"none"{}{}}},)"
      R"("supervisor":{{{}{}"children":[{}]}}}})",
      daemon_keys.empty() ? "" : ",", daemon_keys, root_keys, root_keys.empty() ? "" : ",", children);
}

std::string listener_entry(const std::string& id, const std::string& keys) {
  const auto otherwise = [&keys](const char* key, const std::string& text) {
    return keys.find(fmt::format("\"{}\"", key)) == std::string::npos ? fmt::format(",\"{}\":{}", key, text) : "";
  };
  return fmt::format(R"({{"id":"{}","type":"listener"{}{}{}{}{}}})", id,
                     otherwise("listen", fmt::format("\"unix:@{}\"", id)), otherwise("workers", "2"),
                     otherwise("handler", "\"echo\""), keys.empty() ? "" : ",", keys);
}

std::string process_entry(const std::string& id, const std::string& keys) {
  return fmt::format(R"({{"id":"{}","type":"process","argv":["/bin/true"]{}{}}})", id, keys.empty() ? "" : ",", keys);
}

config::Config config_of(std::string_view text) {
  return config_in(config::parse(with_own_names(std::string(text)), "test.json", "/"));
}

ConfigFile::ConfigFile(std::string_view text) : file_(memfd_create("bulkhead.json", MFD_CLOEXEC)) {
  (void)!fchmod(file_.get(), 0600);  // root reads nothing that others may write to
  write(text);
}

void ConfigFile::write(std::string_view text) {
  const std::string all = with_own_names(std::string(text));
  if (ftruncate(file_.get(), 0) != 0 || pwrite(file_.get(), all.data(), all.size(), 0) < 0) {
    throw std::logic_error("cannot write the configuration");
  }
}

std::string ConfigFile::path() const {
  return fmt::format("/proc/self/fd/{}", file_.get());
}

config::Loaded ConfigFile::load() const {
  return config::load(path());
}

Rig::~Rig() {
  (void)no_log_target();  // a reload may have opened another one
}

Rig::Rig(std::string_view text)
    : file(text),
      time(now()),
      narrator(events),
      later(loop),
      catalogue(config_in(file.load()), file.load().effective),
      users(catalogue, [](std::uint32_t) { return false; }),
      listeners(inherited),
      engine(config::tree_of_config(catalogue.config().root), 1, clock(), *this),
      children(loop, system, listeners, narrator, settings_of(catalogue.config()), children_observer()),
      log(no_log_target(), children),
      endings(
          loop, engine, listeners, children, narrator, [this] { return stop_times(); }, clock()),
      operations(engine, catalogue, users, listeners, endings, narrator),
      scaling(engine, catalogue, listeners, later),
      readiness(engine, listeners, narrator, -1, [this] { ++times_ready; }),
      shutdown(loop, engine, listeners, children, narrator, stop_times(),
               {[this](procedure::StopSequence::Phase) { reload.daemon_stops(); }, [this] { is_done = true; }},
               clock()),
      reload(loop, {engine, catalogue, users, listeners, children, later, operations, scaling, log}, events, manager,
             {[this] { return readiness.is_ready(); },
              {},
              [this] { shutdown.set_times(stop_times()); },
              [] {},
              {},
              clock()}) {
  ipc::register_robust_list();  // as a worker does: the rig plays workers
  listeners.on_bound([this](const net::Listener& listener) { narrator.bound(listener); });
  listeners.on_forgotten([this](net::Listener& listener) {
    shutdown.forget(listener);
    endings.forget(listener);
  });
}

running::Children::Observer Rig::children_observer() {
  return {[this](supervision::Event event) {
            applied.push_back(event);
            engine.apply(std::move(event));
          },
          [this](process::WorkerProcess& worker) {
            shutdown.worker_ready(worker);
            endings.worker_ready(worker);
          },
          [this](net::Listener& listener) {
            shutdown.worker_gone(listener);
            endings.worker_gone(listener);
          },
          [this](pid_t pid) { return strangers.contains(pid); },
          [this](pid_t pid, int) { strangers_reaped.push_back(pid); },
          [this](net::Listener& listener) { sockets_lost.push_back(listener.path()); },
          [](net::Listener&) {},
          [this](net::Listener& listener) {
            if (on_wanted) on_wanted(listener);
          }};
}

procedure::StopSequence::Times Rig::stop_times() const {
  const config::Config& config = catalogue.config();
  return {config.drain_timeout, config.lame_duck, config.close_spread};
}

void Rig::start(const supervision::NodeView& child, const supervision::NodeView& parent, supervision::RunId run) {
  const bool worker = child.spec->type == supervision::NodeType::worker;
  system.announce(child.path);
  children.start(child, parent, run, *catalogue.at(worker ? parent.spec->tag : child.spec->tag));
}

void Rig::told(const supervision::Report& report) {
  using supervision::Cause;
  catalogue.overrides().told(report);
  if (const auto* ended = std::get_if<supervision::report::SupervisorTerminated>(&report);
      ended != nullptr && (ended->cause == Cause::intensity || ended->cause == Cause::start_failed)) {
    endings.gave_up(ended->path);
  }
  if (const auto* started = std::get_if<supervision::report::SupervisorStarted>(&report))
    readiness.started(started->path);
  const auto* stopping = std::get_if<supervision::report::ChildStopping>(&report);
  if (stopping == nullptr || children.announce_end(stopping->run)) narrator.tell(report);
}

void Rig::ending(const supervision::TreeEnding& end) {
  const bool leave = catalogue.config().on_give_up == config::OnGiveUp::leave;
  shutdown.tree_ending(end, readiness.is_ready(), {leave, ports_stay});
}

void Rig::settled() {
  endings.close_abandoned();
  readiness.look();
}

void Rig::start() {
  if (const auto error = listeners.add(catalogue.config().root, "root")) throw std::logic_error(error->text());
  engine.apply(supervision::Start{});
  settle();
}

void Rig::reap() {
  pid_t first = 0;
  do {
    first = system.some_ended();
    children.reap();
  } while (system.some_ended() != 0 && system.some_ended() != first);
}

void Rig::settle() {
  for (int quiet = 0; quiet < 3;) {
    const bool played = system.play();
    const std::size_t deeds = system.deeds().size();
    uv_run(loop.raw(), UV_RUN_NOWAIT);
    reap();
    const bool busy = played || system.deeds().size() != deeds || !later.is_empty();
    quiet = busy ? 0 : quiet + 1;
  }
}

void Rig::pass(std::chrono::milliseconds passed) {
  time += passed;
  engine.apply(supervision::DeadlineReached{});
  endings.tick();
  shutdown.tick();
  settle();
}

void Rig::tick(std::chrono::milliseconds passed) {
  for (std::chrono::milliseconds done{0}; done < passed; done += procedure::StopSequence::kTick) {
    pass(procedure::StopSequence::kTick);
  }
}

void Rig::end(const std::string& path, int wait_status) {
  system.end(system.at(path), wait_status);
  settle();
}

supervision::NodeState Rig::state(const std::string& path) const {
  const auto view = engine.view(path);
  if (!view) throw std::logic_error("no node at " + path);
  return view->state;
}

bool Rig::is_running(const std::string& path) const {
  return engine.has(path) && state(path) == supervision::NodeState::running;
}

std::size_t Rig::count(std::string_view event) const {
  return static_cast<std::size_t>(
      std::ranges::count_if(events.records(), [event](const auto& record) { return record.event == event; }));
}

ipc::Table& Rig::table_at(const std::string& path) {
  const net::Listener& listener = listener_at(path);
  auto table = ipc::Table::map(listener.table_fd(), listener.table().room());
  if (!table) throw std::logic_error(table.error().text());
  return tables[path] = std::move(*table);
}

std::uint32_t Rig::connect(const std::string& worker, pid_t pid) {
  const supervision::NodeView view = *engine.view(worker);
  ipc::Table& table = table_at(engine.view(view.parent)->path);
  const std::uint32_t slot = table.claim({view.run, 1, 0}).slot;
  table.slot(slot).pid = pid;
  table.serve(slot);
  system.be_connection(pid);
  return slot;
}

procedure::Done Rig::keep(procedure::Outcome& outcome, int& answers) const {
  return [&outcome, &answers](const procedure::Outcome& got) {
    outcome = got;
    ++answers;
  };
}

}  // namespace bulkhead::rig
