#include "master/process/spawn.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "master/host/descriptor_limit.h"
#include "worker/confine/confine.h"
#include "worker/confine/reaper.h"
#include "worker/confine/spaces.h"
#include "worker/confine/walls.h"
#include "worker/ipc/channel.h"
#include "worker/ipc/peer.h"
#include "worker/sys/signal.h"

namespace bulkhead::process {

namespace {

constexpr std::size_t kMaxDescriptors = 128;

// Everything that the child needs, prepared before the fork: the child must not allocate.
struct Prepared {
  const SpawnRequest& request;
  std::vector<char*> argv;
  std::vector<char*> environment;
  std::vector<char*> first_argv;
  std::vector<char*> first_environment;
  std::vector<char*> readable;
  std::vector<char*> writable;
  std::vector<char*> executable;
  std::string pid_entry;  // "NAME=" and room for the digits, which the child fills in
  int first_free = 3;     // above every number that is to be placed
  pid_t master = 0;
};

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  out.reserve(strings.size() + 1);
  for (const std::string& string : strings) out.push_back(const_cast<char*>(string.c_str()));  // execve reads only
  out.push_back(nullptr);
  return out;
}

void add_pid_entry(Prepared& prepared) {
  prepared.pid_entry = prepared.request.pid_variable + "=" + std::string(12, '\0');
  prepared.environment.back() = prepared.pid_entry.data();
  prepared.environment.push_back(nullptr);
}

[[noreturn]] void fail(int report, ipc::Stage stage, int error) noexcept {
  ipc::send_failure(report, stage, error);
  _exit(kExecFailed);
}

// Sources and targets may overlap in any way, so every source first moves above all targets.
bool place_descriptors(const Prepared& prepared, int& program, int& report) noexcept {
  int moved[kMaxDescriptors];
  const auto& wanted = prepared.request.descriptors;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    moved[i] = fcntl(wanted[i].from, F_DUPFD_CLOEXEC, prepared.first_free);
    if (moved[i] < 0) return false;
  }
  if (program >= 0 && (program = fcntl(program, F_DUPFD_CLOEXEC, prepared.first_free)) < 0) return false;
  const bool report_is_placed = std::any_of(wanted.begin(), wanted.end(),
                                            [report](const Placement& placement) { return placement.to == report; });
  if (!report_is_placed && report >= 0 && (report = fcntl(report, F_DUPFD_CLOEXEC, prepared.first_free)) < 0)
    return false;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (dup2(moved[i], wanted[i].to) < 0) return false;
  }
  return close_range(static_cast<unsigned>(prepared.first_free), UINT_MAX, CLOSE_RANGE_CLOEXEC) == 0;
}

void confine(const Prepared& prepared, int report) noexcept {
  const SpawnRequest& request = prepared.request;
  ipc::Failure failure = confine::settle(request.confinement, request.root.c_str(), request.directory.c_str(), false);
  if (!failure) {
    const confine::Reach reach{{prepared.readable.data(), prepared.writable.data(), prepared.executable.data(),
                                request.files.others_readable, request.confinement.spaces},
                               {request.ports.connect, request.ports.bind}};
    const sys::Fd walls = confine::prepare_walls(request.confinement, false, &reach);
    confine::Limits limits = confine::limits_of(request.confinement);
    limits.walls = walls.get();
    limits.filter = request.filter.data();
    limits.filter_size = static_cast<std::uint32_t>(request.filter.size());
    failure = confine::take_on(limits);
  }
  if (failure) fail(report, failure.stage, failure.error);
}

[[noreturn]] void run_first(const Prepared& prepared, pid_t leader, int report) noexcept {
  prctl(PR_SET_PDEATHSIG, prepared.request.parent_death_signal);
  if (getppid() != leader) _exit(kExecFailed);
  close_range(STDERR_FILENO + 1, UINT_MAX, CLOSE_RANGE_CLOEXEC);
  execve(prepared.first_argv[0], prepared.first_argv.data(), prepared.first_environment.data());
  fail(report, ipc::Stage::pre_start_exec, errno);
}

// The master's descriptors close only at an exec, which may be far away; and nobody may look into its memory until
// then.
void wait_for_first(const Prepared& prepared, int& report) noexcept {
  const int kept = prepared.first_free;
  if (report != kept) {
    if (dup3(report, kept, O_CLOEXEC) < 0) fail(report, ipc::Stage::descriptors, errno);
    report = kept;
  }
  close_range(static_cast<unsigned>(kept) + 1, UINT_MAX, 0);
  prctl(PR_SET_DUMPABLE, 0);
  const pid_t leader = getpid();
  const pid_t pid = _Fork();
  if (pid == 0) run_first(prepared, leader, report);
  if (pid < 0) fail(report, ipc::Stage::none, errno);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (status != 0) fail(report, ipc::Stage::pre_start, status);
}

// The parent may already have died (prctl(2), PR_SET_PDEATHSIG).
void die_with_master(const Prepared& prepared) noexcept {
  if (prepared.request.parent_death_signal == 0) return;
  prctl(PR_SET_PDEATHSIG, prepared.request.parent_death_signal);
  if (getppid() != prepared.master) _exit(kExecFailed);
}

[[noreturn]] void execute(Prepared& prepared, int program, int report) noexcept {
  const SpawnRequest& request = prepared.request;
  if (!prepared.first_argv.empty()) wait_for_first(prepared, report);
  if (!prepared.pid_entry.empty()) {
    ipc::decimal_text(static_cast<std::uint32_t>(getpid()),
                      prepared.pid_entry.data() + request.pid_variable.size() + 1);
  }
  if (program >= 0) {
    execveat(program, "", prepared.argv.data(), prepared.environment.data(), AT_EMPTY_PATH);
  } else {
    execve(request.path.empty() ? prepared.argv[0] : request.path.c_str(), prepared.argv.data(),
           prepared.environment.data());
  }
  fail(report, ipc::Stage::exec, errno);
}

struct Order {
  Prepared& prepared;
  int program;
  int report;
};

void program_inside(void* what) noexcept {
  const Order& order = *static_cast<Order*>(what);
  sys::unblock_all_signals();
  confine(order.prepared, order.report);
  execute(order.prepared, order.program, order.report);
}

[[noreturn]] void fail_inside(void* what, ipc::Failure failure) noexcept {
  fail(static_cast<Order*>(what)->report, failure.stage, failure.error);
}

// Its own namespaces and mounts. What they give it, settle() takes from it again.
void separate(Order& order) noexcept {
  const SpawnRequest& request = order.prepared.request;
  const std::uint32_t spaces = request.confinement.spaces;
  const char* const root = request.root.c_str();
  if (spaces == 0) return;
  const bool founds = !confine::may_make_spaces();
  ipc::Failure failure = founds ? confine::found_spaces(spaces, root) : ipc::Failure{};
  if (failure) fail_inside(&order, failure);
  if ((spaces & ipc::kPrivatePids) != 0) {
    die_with_master(order.prepared);
    confine::run_inside({spaces, founds, false, request.kills_group, root, "bulkheadd: sandbox of a process",
                         program_inside, fail_inside, &order});
  }
  failure = confine::enter_spaces(spaces, founds, root);
  if (failure) fail_inside(&order, failure);
}

[[noreturn]] void run_child(Prepared& prepared) noexcept {
  const SpawnRequest& request = prepared.request;
  Order order{prepared, request.program, request.report};
  sys::unblock_all_signals();
  if (request.own_session && setsid() < 0) fail(order.report, ipc::Stage::session, errno);
  if (!place_descriptors(prepared, order.program, order.report)) fail(order.report, ipc::Stage::descriptors, errno);
  if (!request.raised_descriptor_limit) host::restore_descriptor_limit();
  separate(order);
  confine(prepared, order.report);
  die_with_master(prepared);  // after the change of user, which clears it
  execute(prepared, order.program, order.report);
}

}  // namespace

sys::Result<pid_t> spawn(const SpawnRequest& request) {
  if (request.descriptors.size() > kMaxDescriptors) return sys::Error{"fork", request.argv[0], E2BIG};
  Prepared prepared{request,
                    pointers(request.argv),
                    pointers(request.environment),
                    {},
                    {},
                    pointers(request.files.read),
                    pointers(request.files.write),
                    pointers(request.files.execute),
                    {},
                    3,
                    getpid()};
  if (!request.first.argv.empty()) {
    prepared.first_argv = pointers(request.first.argv);
    prepared.first_environment = pointers(request.first.environment);
  }
  if (!request.pid_variable.empty()) add_pid_entry(prepared);
  for (const Placement& placement : request.descriptors)
    prepared.first_free = std::max(prepared.first_free, placement.to + 1);
  // _Fork runs no atfork handlers: libuv's would rebuild its pipes in the child.
  const pid_t pid = _Fork();
  if (pid == 0) run_child(prepared);
  if (pid < 0) return sys::Error{"fork", request.argv[0], errno};
  return pid;
}

}  // namespace bulkhead::process
