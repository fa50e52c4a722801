#include "worker/child/start.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstddef>
#include <cstring>

#include "worker/confine/reaper.h"
#include "worker/confine/spaces.h"
#include "worker/confine/walls.h"
#include "worker/sys/clone.h"
#include "worker/sys/fd.h"
#include "worker/sys/raw.h"
#include "worker/sys/signal.h"
#include "worker/sys/title.h"

#if defined(__SANITIZE_ADDRESS__)
#define BULKHEAD_PLAIN __attribute__((no_sanitize("address", "undefined")))
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BULKHEAD_PLAIN __attribute__((no_sanitize("address", "undefined")))
#endif
#endif
#ifndef BULKHEAD_PLAIN
#define BULKHEAD_PLAIN
#endif

namespace bulkhead::child {

namespace {

constexpr int kExecFailed = 127;

// The parameters of a built-in's child, at the end of its stack: the child does not have the worker's.
struct Order {
  BuiltIn request;
  char title[kTitleRoom];
  confine::Limits limits;
  int report_fd = -1;  // where a child that takes on limits reports a failure
};

// The stack of every built-in's child, in the worker's memory but never used there, apart from the order. The largest
// use is echo's buffer of 64 KiB, and 16 KiB more to discard input. Untouched pages cost nothing.
constexpr std::size_t kStackSize = 192 * 1024;
alignas(4096) char child_stack[kStackSize];
constexpr std::size_t kOrderAt = (kStackSize - sizeof(Order)) / 64 * 64;

// Runs in every connection child of a built-in: raw calls only (worker/sys/raw.h), no heap, not the worker's stack.
[[noreturn, gnu::hot]] BULKHEAD_PLAIN void serve(const BuiltIn& request) noexcept {
  const std::uint64_t no_signals = 0;
  sys::raw(SYS_rt_sigprocmask, SIG_SETMASK, sys::raw_pointer(&no_signals), 0, sizeof no_signals);
  sys::raw(SYS_setsid);
  sys::raw(SYS_dup3, 0, 2, 0);  // the worker's own 0 is /dev/null
  sys::raw(SYS_dup3, request.connection, 0, 0);
  sys::raw(SYS_dup3, request.connection, 1, 0);
  if (confine::enter_walls(request.walls)) sys::raw_exit(kExecFailed);
  sys::raw(SYS_close_range, 3, UINT_MAX, 0);
  sys::Title::set(request.title);
  sys::raw_exit(request.serve(request.idle_timeout_ns));
}

[[gnu::hot]] BULKHEAD_PLAIN void serve_order(void* order) noexcept {
  serve(static_cast<const Order*>(order)->request);
}

BULKHEAD_PLAIN void serve_limited(void* what) noexcept {
  const Order& order = *static_cast<const Order*>(what);
  const ipc::Failure failure = confine::take_on(order.limits);
  if (!failure) serve(order.request);  // closes the pipe, which says that all went well
  sys::raw(SYS_write, order.report_fd, sys::raw_pointer(&failure), sizeof failure);
  sys::raw_exit(kExecFailed);
}

[[gnu::hot]] Order& write_order(const BuiltIn& request) noexcept {
  auto* const order = reinterpret_cast<Order*>(child_stack + kOrderAt);
  order->request = request;
  const std::size_t length = request.title.size() < kTitleRoom ? request.title.size() : kTitleRoom;
  std::memcpy(order->title, request.title.data(), length);
  order->request.title = {order->title, length};
  return *order;
}

struct ExecShared {
  const Exec* request;
  ipc::Failure failure;
};

BULKHEAD_PLAIN void give_up(ExecShared* shared, ipc::Failure failure) noexcept {
  shared->failure = failure;
  sys::raw_exit(kExecFailed);
}

BULKHEAD_PLAIN void give_up(ExecShared* shared, ipc::Stage stage) noexcept {
  give_up(shared, {stage, errno});
}

// The worker's own 0 is /dev/null, and its descriptors 3 and up are never a connection (worker/ipc/message.h).
BULKHEAD_PLAIN bool place_descriptors(const Exec& request) noexcept {
  const bool activated = request.style == ipc::HandlerStyle::listen_fds;
  const int error_fd = request.socket_as_error ? request.connection : request.error_fd;
  const int first = activated ? 3 : 0;
  if (dup2(request.connection, first) < 0) return false;
  if (dup2(activated ? request.error_fd : request.connection, 1) < 0 || dup2(error_fd, 2) < 0) return false;
  int next = place_of_drain_notice(request.style);
  if (request.drain_fd >= 0 && dup2(request.drain_fd, next++) < 0) return false;
  close_range(static_cast<unsigned>(next), UINT_MAX, CLOSE_RANGE_CLOEXEC);
  return true;
}

BULKHEAD_PLAIN ipc::Failure separate(const Exec& request) noexcept {
  if (request.spaces == 0) return {};
  if (const ipc::Failure failure = confine::enter_spaces(request.spaces, true, "")) return failure;
  return confine::give_up_spaces();
}

// Rules about files that only this connection has can only be made here.
BULKHEAD_PLAIN ipc::Failure take_on_all(const Exec& request) noexcept {
  if (request.reach == nullptr) return confine::take_on(*request.limits);
  const sys::Fd walls = confine::prepare_walls(*request.confinement, request.scoped, request.reach);
  if (!walls) return {ipc::Stage::sandbox, ENOSYS};
  confine::Limits limits = *request.limits;
  limits.walls = walls.get();
  return confine::take_on(limits);
}

// Shares our memory until it execs. Not instrumented: a sanitizer's marks for its stack would outlive it.
BULKHEAD_PLAIN int exec_child(void* argument) noexcept {
  auto* shared = static_cast<ExecShared*>(argument);
  const Exec& request = *shared->request;
  sys::unblock_all_signals();
  if (setsid() < 0) give_up(shared, ipc::Stage::session);
  if (const ipc::Failure failure = separate(request)) give_up(shared, failure);
  if (!place_descriptors(request)) give_up(shared, ipc::Stage::descriptors);
  if (request.pid_field != nullptr) ipc::decimal_text(static_cast<std::uint32_t>(getpid()), request.pid_field);
  if (const ipc::Failure failure = take_on_all(request)) give_up(shared, failure);
  execve(request.path, const_cast<char* const*>(request.argv), const_cast<char* const*>(request.environment));
  give_up(shared, ipc::Stage::exec);
  return kExecFailed;
}

struct InsideOrder {
  const Exec& request;
  int report_fd;  // closed by the exec, or written to
};

[[noreturn]] void report_inside(void* what, ipc::Failure failure) noexcept {
  (void)!write(static_cast<InsideOrder*>(what)->report_fd, &failure, sizeof failure);
  _exit(kExecFailed);
}

// Number 2. Its memory is a copy, so the path of the failure is the pipe.
void program_inside(void* what) noexcept {
  const InsideOrder& order = *static_cast<InsideOrder*>(what);
  const Exec& request = order.request;
  sys::unblock_all_signals();
  if (!place_descriptors(request)) report_inside(what, {ipc::Stage::descriptors, errno});
  if (request.pid_field != nullptr) ipc::decimal_text(static_cast<std::uint32_t>(getpid()), request.pid_field);
  if (const ipc::Failure failure = take_on_all(request)) report_inside(what, failure);
  execve(request.path, const_cast<char* const*>(request.argv), const_cast<char* const*>(request.environment));
  report_inside(what, {ipc::Stage::exec, errno});
}

int outside_child(void* what) noexcept {
  const Exec& request = static_cast<InsideOrder*>(what)->request;
  if (setsid() < 0) report_inside(what, {ipc::Stage::session, errno});
  confine::run_inside(
      {request.spaces, true, true, request.kill_group, "", request.title, program_inside, report_inside, what});
}

// Nothing is written if all goes well.
ipc::Failure failure_from(int pipe) noexcept {
  ipc::Failure failure;
  ssize_t got = 0;
  while ((got = ::read(pipe, &failure, sizeof failure)) < 0 && errno == EINTR) {
  }
  return got == static_cast<ssize_t>(sizeof failure) ? failure : ipc::Failure{};
}

}  // namespace

[[gnu::hot]] Started start_built_in(const BuiltIn& request, std::int32_t* pid_slot) noexcept {
  Order& order = write_order(request);
  const long pid = sys::clone_onto(&order, serve_order, &order, pid_slot);
  if (pid < 0) return {-1, {ipc::Stage::none, static_cast<int>(-pid)}};
  return {static_cast<pid_t>(pid), {}};
}

Started start_limited_built_in(const BuiltIn& request, const confine::Limits& limits, std::int32_t* pid_slot) noexcept {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return {-1, {ipc::Stage::none, errno}};
  const sys::Fd read_end(ends[0]);
  sys::Fd write_end(ends[1]);
  Order& order = write_order(request);
  order.request.walls = -1;
  order.limits = limits;
  order.report_fd = ends[1];
  const long pid = sys::clone_onto(&order, serve_limited, &order, pid_slot);
  if (pid < 0) return {-1, {ipc::Stage::none, static_cast<int>(-pid)}};
  write_end.reset();
  return {static_cast<pid_t>(pid), failure_from(read_end.get())};
}

Started start_exec(const Exec& request, std::int32_t* pid_slot) noexcept {
  alignas(64) static char stack[64 * 1024];
  ExecShared shared{&request, {}};
  const int pid = clone(exec_child, stack + sizeof stack, CLONE_VM | CLONE_VFORK | CLONE_PARENT_SETTID | SIGCHLD,
                        &shared, pid_slot);
  if (pid < 0) return {-1, {ipc::Stage::none, errno}};
  return {pid, shared.failure};
}

Started start_exec_inside(const Exec& request, std::int32_t* pid_slot) noexcept {
  alignas(64) static char stack[128 * 1024];
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return {-1, {ipc::Stage::none, errno}};
  const sys::Fd read_end(ends[0]);
  sys::Fd write_end(ends[1]);
  const InsideOrder order{request, ends[1]};
  const int pid = clone(outside_child, stack + sizeof stack, CLONE_PARENT_SETTID | SIGCHLD,
                        const_cast<InsideOrder*>(&order), pid_slot);
  if (pid < 0) return {-1, {ipc::Stage::none, errno}};
  write_end.reset();
  return {pid, failure_from(read_end.get())};
}

}  // namespace bulkhead::child
