#include "worker/beginning.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "worker/confine/confine.h"
#include "worker/confine/walls.h"
#include "worker/handlers/built_in.h"
#include "worker/ipc/channel.h"
#include "worker/log/log.h"
#include "worker/sys/children.h"
#include "worker/worker_main.h"

namespace bulkhead::worker {

void cannot_start(ipc::Stage stage, int error, std::string_view text) {
  ipc::send_failure(ipc::kChannelFd, stage, error, text);
  _exit(kCannotStart);
}

bool started_by_master() {
  int type = 0;
  socklen_t length = sizeof type;
  return getsockopt(ipc::kChannelFd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_SEQPACKET;
}

ipc::Plan take_plan() {
  auto plan = ipc::Plan::map(ipc::kPlanFd);
  if (!plan) cannot_start(ipc::Stage::plan, plan.error().code);
  ::close(ipc::kPlanFd);
  return *plan;
}

ipc::Table take_table(const ipc::PlanHeader& header) {
  auto table = ipc::Table::map(ipc::kTableFd, {header.table_room, {}, header.table_first_use});
  if (!table) cannot_start(ipc::Stage::table, table.error().code);
  ::close(ipc::kTableFd);
  return std::move(*table);
}

std::vector<sys::Fd> take_sockets(const ipc::PlanHeader& header) {
  std::vector<sys::Fd> sockets;
  for (std::uint32_t i = 0; i < header.sockets; ++i) sockets.emplace_back(ipc::kFirstSocketFd + static_cast<int>(i));
  return sockets;
}

void keep_descriptors(const ipc::PlanHeader& header) {
  const int end = ipc::drain_fd(header) + (header.has_drain != 0 ? 1 : 0);
  for (int fd = ipc::kChannelFd; fd < end; ++fd) fcntl(fd, F_SETFD, FD_CLOEXEC);
}

void become(const ipc::Plan& plan, const char* path) {
  const ipc::PlanHeader& header = plan.header();
  const ipc::Failure failure = confine::settle(header.confinement, plan.string(header.root),
                                               plan.string(header.directory), header.confinement.spaces != 0);
  if (failure) cannot_start(failure.stage, failure.error);
  // A domain that its children inherit could hinder their mounts or their renames.
  const bool mounts = (header.confinement.spaces & ipc::kMountingSpaces) != 0;
  const bool scoped = header.confinement.scope_of != ipc::ScopeOf::off && !mounts;
  const sys::Fd walls = confine::prepare_walls(header.confinement, scoped, nullptr);
  if (const ipc::Failure refused = confine::enter_walls(walls.get())) cannot_start(refused.stage, refused.error);
  const auto filter = plan.array<sock_filter>(header.sandbox.of_worker);
  if (const ipc::Failure refused = confine::enter_filter(filter.data(), static_cast<std::uint32_t>(filter.size())))
    cannot_start(refused.stage, refused.error);
  // Neither a debugger nor /proc may read this process by the right of the same user (prctl(2)).
  prctl(PR_SET_DUMPABLE, 0);
  if (geteuid() == 0) log::Line(log::Level::warning, path).text("this worker and its connections run as root").write();
}

void check_built_ins(const ipc::Plan& plan) {
  const ipc::PlanHeader& header = plan.header();
  for (std::uint32_t i = 0; i < header.handler_count; ++i) {
    if (header.handlers[i].kind != ipc::HandlerKind::built_in) continue;
    const char* name = plan.string(header.handlers[i].name);
    if (handlers::find_built_in(name) == nullptr) cannot_start(ipc::Stage::plan, ENOSYS, name);
  }
}

bool has_module(const ipc::PlanHeader& header) {
  return std::any_of(header.handlers, header.handlers + header.handler_count,
                     [](const ipc::PlanHandler& handler) { return handler.kind == ipc::HandlerKind::module; });
}

void need(const std::optional<modules::ModuleFailure>& failure) {
  if (!failure) return;
  ipc::send_failure(ipc::kChannelFd, failure->stage, 0, failure->text);
  sys::end_children();  // they have our listening sockets
  _exit(kCannotStart);
}

void load(modules::Modules& modules, const ipc::PlanHeader& header, std::uint32_t slots) {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  need(modules.load({ipc::drain_fd(header), ipc::kHandlerErrorFd}, slots));
  prctl(PR_SET_CHILD_SUBREAPER, 0);
}

}  // namespace bulkhead::worker
