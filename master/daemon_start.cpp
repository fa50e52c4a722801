// How the daemon comes up: ports before children, and the news that everything serves.
#include <fmt/format.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "master/config/cgroup.h"
#include "master/daemon.h"
#include "master/host/clock.h"
#include "worker/log/log.h"

namespace bulkhead {

namespace {

using namespace std::chrono_literals;
using namespace supervision;

constexpr auto kBindPatience = 2s;  // a predecessor may be on its way out

int exit_status_of(const sys::Error& error) {
  if (error.code == EADDRINUSE) return kAddressInUse;
  return error.code == EACCES || error.code == EPERM ? kNoPermission : kSystemError;
}

int exit_status_of_address(const sys::Error& error) {
  switch (error.code) {
    case 0: return kBadConfiguration;  // what it asks for is not there
    case EEXIST:
    case EADDRNOTAVAIL:
    case ENODEV:
    case EAFNOSUPPORT: return kAddressInUse;
    default: return exit_status_of(error);
  }
}

void warn_of_oom_group() {
  const config::CgroupLimit killed = config::cgroup_limit(config::kOomGroup);
  if (killed.value == 0) return;
  log::Line(log::Level::warning, "root")
      .text("memory.oom.group of ")
      .text(killed.directory)
      .text(
          " is 1: when its memory runs out, everything in it is killed at once, all connections too (see OOMPolicy= "
          "of a systemd unit)")
      .write();
}

}  // namespace

std::optional<sys::Error> Daemon::open_listener(net::Listener& listener, const net::Listener::Lend& lend) {
  auto error = listener.open(lend);
  while (error && error->code == EADDRINUSE && now() < bind_until_) {
    std::this_thread::sleep_for(50ms);
    error = listener.open(lend);
  }
  if (error) return error;
  for (const net::ListeningSocket& socket : listener.sockets()) {
    events_.publish("listener_bound", listener.path(), {{"address", socket.text}});
  }
  return std::nullopt;
}

std::optional<sys::Error> Daemon::add_listeners(const config::Node& node, const std::string& path,
                                                const net::Listener::Lend& lend) {
  for (const config::Node& child : node.children) {
    if (auto error = add_listeners(child, path + "/" + child.spec.id, lend)) return error;
  }
  if (!node.listener) return std::nullopt;
  auto& listener = listeners_[path] =
      std::make_unique<net::Listener>(next_listener_++, path, *node.listener, options_.inherited);
  listener->source = &node;
  return open_listener(*listener, lend);
}

// Only here may the master wait: nothing is served yet.
int Daemon::open_all() {
  bind_until_ = now() + kBindPatience;
  const auto error = add_listeners(config_->root, "root");
  bind_until_ = {};
  if (!error) options_.inherited.close_unused();
  for (const std::string& name : options_.inherited.take_unwanted()) services_.forget(name);
  for (const std::string& remark : options_.inherited.take_remarks()) {
    log::Line(log::Level::warning, "root").text(remark).write();
  }
  if (!error) return 0;
  for (const auto& [path, listener] : listeners_) {
    const config::ListenAddress* failed = listener->failed_address();
    const std::string why = failed == nullptr ? "" : net::why_not_opened(*failed, error->code);
    if (!listener->is_open()) log::Line(log::Level::error, path).text(error->text()).text(why).write();
  }
  return exit_status_of_address(*error);
}

// Before the ports: a daemon that is there already must be told from a stranger who holds one of them.
int Daemon::open_control() {
  server_ = std::make_unique<control::Server>(loop_, events_, control_);
  const auto error = server_->open(config_->control);
  if (!error) return 0;
  const bool running = error->code == EADDRINUSE;
  log::Line(log::Level::error, "root")
      .text(running ? "another instance is running: " : "cannot open the control socket: ")
      .text(error->text())
      .write();
  return running ? kAlreadyRunning : exit_status_of(*error);
}

std::optional<sys::Error> Daemon::become_subreaper() {
  int is_set = 0;
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  prctl(PR_GET_CHILD_SUBREAPER, &is_set, 0, 0, 0);
  if (is_set == 1) return std::nullopt;
  return sys::Error{"cannot become a child subreaper (prctl(2))", "", 0};
}

int Daemon::run() {
  warn_of_oom_group();
  processes_.set_error_fd(log_.handlers.get());
  auto error = become_subreaper();
  if (!error) error = workers_.find_program();
  if (error) {
    log::Line(log::Level::error, "root").text(error->text()).write();
    return kSystemError;
  }
  if (const int status = open_control(); status != 0) return status;
  if (const int status = open_all(); status != 0) return status;
  store_sockets();
  start();
  loop_.run();
  return status_;
}

// What the service manager keeps for us outlives even our SIGKILL, with its queue; what closes must not be kept.
void Daemon::store_sockets() {
  if (!services_.listens()) return;
  std::set<std::string> names;
  if (stop_.phase() < procedure::StopSequence::Phase::closing) {
    for (auto& [path, listener] : listeners_) {
      for (const net::ListeningSocket& socket : listener->sockets()) {
        if (listener->draining || socket.address.is_inherited()) continue;
        const std::string name = net::store_name(socket.fd.get());
        if (!stored_.contains(name)) services_.store(name, socket.fd.get());
        names.insert(name);
      }
    }
  }
  for (const std::string& name : stored_) {
    if (!names.contains(name)) services_.forget(name);
  }
  stored_ = std::move(names);
}

void Daemon::announce_listener(net::Listener& listener) {
  listener.announced = true;
  for (const net::ListeningSocket& socket : listener.sockets()) {
    log::Line line(log::Level::info, listener.path());
    if (socket.local.family == AF_UNIX) {
      line.text("Serving requests on ").text(socket.text);
    } else {
      line.text("Serving requests on port ").number(socket.local.port);
    }
    line.field("address", socket.text).write();
  }
}

// A listener serves when its supervisor has started all its workers; the daemon is ready when the root has.
void Daemon::announce_ready() {
  const auto running = [this](const std::string& path) {
    const auto id = tree_.find(path);
    const auto view = id ? tree_.node(*id, now()) : std::nullopt;
    return view && view->state == NodeState::running;
  };
  for (auto& [path, listener] : listeners_) {
    if (!listener->announced && listener->is_open() && running(path)) announce_listener(*listener);
  }
  if (ready_ || !running("root")) return;
  ready_ = true;
  choose_signals();
  tell_ready_fd();
  services_.ready();
  tell_services();
  if (options_.on_ready) options_.on_ready();
  later([this] { reload_.go_on(); });
}

void Daemon::tell_ready_fd() {
  if (options_.ready_fd < 0) return;
  nlohmann::ordered_json line{{"pid", getpid()}, {"endpoints", nlohmann::ordered_json::array()}};
  for (auto& [path, listener] : listeners_) {
    for (const net::ListeningSocket& socket : listener->sockets()) {
      line["endpoints"].push_back({{"path", path}, {"listen", socket.address.text}, {"address", socket.text}});
    }
  }
  const std::string text = line.dump() + "\n";
  (void)!::write(options_.ready_fd, text.data(), text.size());
  ::close(std::exchange(options_.ready_fd, -1));
}

}  // namespace bulkhead
