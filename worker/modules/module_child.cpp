#include "worker/modules/module_child.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>

#include "worker/confine/walls.h"
#include "worker/ipc/connection_log.h"
#include "worker/ipc/message.h"
#include "worker/log/log.h"
#include "worker/sys/signal.h"
#include "worker/sys/title.h"

namespace bulkhead::modules {

namespace {

constexpr int kSoftware = 70;  // EX_SOFTWARE, sysexits(3)
constexpr int kDrainFd = 3;
constexpr int kOwnLogFd = 4;

const char* log_path = "";
const char* log_connection = nullptr;

struct Move {
  int from;
  int to;
  int flags;
};

// Sources and targets may overlap, so every source first moves above all targets.
bool place(Move* moves, int count) noexcept {
  for (int i = 0; i < count; ++i) {
    moves[i].from = fcntl(moves[i].from, F_DUPFD_CLOEXEC, kOwnLogFd + 1);
    if (moves[i].from < 0) return false;
  }
  for (int i = 0; i < count; ++i) {
    if (dup3(moves[i].from, moves[i].to, moves[i].flags) < 0) return false;
  }
  return close_range(kOwnLogFd + 1, UINT_MAX, 0) == 0;
}

// Registered last, so it runs before everything that the worker or the module registered earlier.
void leave(int status, void*) {
  std::fflush(nullptr);
  _exit(status);
}

// A half-confined child serves no client.
void confine(confine::Limits limits) noexcept {
  limits.walls = -1;  // entered while its rules were still open
  const ipc::Failure failure = confine::take_on(limits);
  if (!failure) return;
  log::Line line(log::Level::error, log_path);
  line.text("refused a connection: ").text(ipc::stage_text(failure.stage));
  line.text(" failed: ").text(strerrordesc_np(failure.error));
  ipc::add_connection(line, log_connection, ipc::ConnectionEvent::refused);
  line.field("errno", strerrorname_np(failure.error)).write();
  _exit(kSoftware);
}

void log_exception(const char* what) noexcept {
  log::Line line(log::Level::error, log_path);
  line.text("the handler threw an exception");
  if (what != nullptr) line.text(": ").text(what);
  ipc::add_connection(line, log_connection, ipc::ConnectionEvent::handler_exception);
  line.write();
}

}  // namespace

void set_module_log_path(const char* listener) noexcept {
  log_path = listener;
}

void log_for_module(bulkhead_level level, const char* text) {
  const int error = errno;
  const auto clamped =
      std::clamp(static_cast<int>(level), static_cast<int>(BULKHEAD_DEBUG), static_cast<int>(BULKHEAD_ERROR));
  log::Line line(static_cast<log::Level>(clamped), log_path);
  line.text(text == nullptr ? "" : text);
  if (log_connection != nullptr) ipc::add_connection(line, log_connection, ipc::ConnectionEvent::handler_output);
  line.write();
  errno = error;
}

void serve_module(const Module& module, const ModuleDescriptors& descriptors,
                  const ModuleConnection& connection) noexcept {
  setsid();
  if (connection.limits != nullptr && confine::enter_walls(connection.limits->walls)) _exit(kSoftware);
  Move moves[] = {{connection.descriptor, 0, 0},
                  {connection.descriptor, 1, 0},
                  {connection.socket_as_error ? connection.descriptor : descriptors.error, 2, 0},
                  {descriptors.drain, kDrainFd, O_CLOEXEC},
                  {ipc::kLogFd, kOwnLogFd, O_CLOEXEC}};
  if (!place(moves, sizeof moves / sizeof moves[0])) _exit(kSoftware);
  log::set_fd(kOwnLogFd);
  log::after_fork();
  log_connection = connection.id;
  sys::Title::set(connection.title);
  if (connection.limits != nullptr) confine(*connection.limits);
  environ = const_cast<char**>(connection.environment);
  on_exit(leave, nullptr);
  sys::unblock_all_signals();
  const bulkhead_connection facts{sizeof facts, 0, kDrainFd, connection.id, connection.peer, connection.local};
  try {
    const int status = module.handler().serve(&module.host(), module.state(), &facts);
    std::exit(status >= 0 && status <= 255 ? status : 255);
  } catch (const std::exception& exception) {
    log_exception(exception.what());
  } catch (...) {
    log_exception(nullptr);
  }
  std::exit(kSoftware);
}

}  // namespace bulkhead::modules
