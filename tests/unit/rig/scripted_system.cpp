#include "tests/unit/rig/scripted_system.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <stdexcept>
#include <utility>
#include <variant>

#include "worker/ipc/plan.h"
#include "worker/ipc/table/table.h"
#include "worker/sys/overloaded.h"
#include "worker/sys/signal_name.h"

namespace bulkhead::rig {

namespace {

sys::Fd copy_of(int fd) {
  return sys::Fd(fcntl(fd, F_DUPFD_CLOEXEC, 3));
}

int placed_at(const process::SpawnRequest& request, int number) {
  const auto found = std::ranges::find(request.descriptors, number, &process::Placement::to);
  return found == request.descriptors.end() ? -1 : found->from;
}

ipc::TableRoom room_in(int plan) {
  auto mapped = ipc::Plan::map(plan);
  if (!mapped) throw std::logic_error(mapped.error().text());
  const ipc::PlanHeader& header = mapped->header();
  const ipc::TableRoom out{header.table_room, {}, header.table_first_use};
  munmap(const_cast<ipc::PlanHeader*>(&header), header.size);
  return out;
}

ipc::Table table_of(const ScriptedChild& child) {
  auto table = ipc::Table::map(child.table.get(), child.room);
  if (!table) throw std::logic_error(table.error().text());
  return std::move(*table);
}

// As worker/connections.cpp does it, without penalties.
void collect(const ScriptedChild& child, std::uint32_t first, std::uint32_t end) {
  ipc::Table table = table_of(child);
  if (first == end) table.repair(nullptr, 0);
  for (std::uint32_t slot = first; slot < std::min(end, table.room()); ++slot) {
    if (const auto word = table.wish(slot)) (void)table.collect(slot, *word, {}, {}, 0);
  }
}

void carry_out(const ScriptedChild& child, const ipc::Collect& order) {
  collect(child, order.first, order.end);
  child.say(ipc::Done{order.kType, 0});
}
void carry_out(const ScriptedChild& child, const ipc::Limits& order) {
  table_of(child).limit(order.limits);
  child.say(ipc::Done{order.kType, 0});
}
void carry_out(const ScriptedChild& child, const ipc::Forgive& order) {
  child.say(ipc::Done{order.kType, table_of(child).forgive(order.prefix)});
}
template <class T>
void carry_out(const ScriptedChild&, const T&) {}

std::string text_of(const ipc::Down& message) {
  return std::visit(
      sys::Overloaded{[](const ipc::Retire&) { return std::string("retire"); },
                      [](const ipc::Drain&) { return std::string("drain"); },
                      [](const ipc::Suspend&) { return std::string("suspend"); },
                      [](const ipc::Resume&) { return std::string("resume"); },
                      [](const ipc::Log&) { return std::string("log"); },
                      [](const ipc::Signal& s) { return "signal " + std::to_string(s.signal); },
                      [](const ipc::End& end) { return "end " + std::to_string(end.slot); },
                      [](const ipc::Kick&) { return std::string("kick"); },
                      [](const ipc::Limits&) { return std::string("limits"); },
                      [](const ipc::Collect&) { return std::string("collect"); },
                      [](const ipc::Forgive&) { return std::string("forgive"); },
                      [](const ipc::Socket& socket) { return "socket " + std::to_string(socket.number); }},
      message);
}

}  // namespace

ScriptedChild& ScriptedSystem::at(const std::string& path) {
  for (auto child = children_.rbegin(); child != children_.rend(); ++child) {
    if ((*child)->path == path) return **child;
  }
  throw std::logic_error("no child at " + path);
}

bool ScriptedSystem::has(const std::string& path) const {
  return std::ranges::any_of(children_, [&path](const auto& child) { return child->path == path; });
}

std::size_t ScriptedSystem::started(const std::string& path) const {
  return static_cast<std::size_t>(std::ranges::count(starts_, path));
}

ScriptedChild* ScriptedSystem::find(pid_t pid) noexcept {
  const auto found = std::ranges::find_if(children_, [pid](const auto& child) { return child->pid == pid; });
  return found == children_.end() ? nullptr : found->get();
}

std::string ScriptedSystem::name_of(pid_t pid) noexcept {
  const ScriptedChild* const child = find(pid);
  return child == nullptr ? std::to_string(pid) : child->path;
}

void ScriptedSystem::end(ScriptedChild& child, int wait_status) {
  if (child.has_ended) return;
  child.has_ended = true;
  child.wait_status = wait_status;
  child.channel.reset();
  child.report.reset();
  child.notify.reset();
  ended_.push_back(child.pid);
}

void ScriptedSystem::end_unknown(pid_t pid, int wait_status) {
  unknown_[pid] = wait_status;
  ended_.push_back(pid);
}

sys::Result<pid_t> ScriptedSystem::begin(const process::SpawnRequest& request) {
  const auto found = conducts_.find(path_);
  const Conduct conduct = found == conducts_.end() ? Conduct::serves : found->second;
  deeds_.push_back("start " + path_);
  starts_.push_back(path_);
  if (conduct == Conduct::no_fork) return sys::Error{"fork", "", EAGAIN};
  ScriptedChild& child = *children_.emplace_back(std::make_unique<ScriptedChild>());
  child.path = path_;
  child.pid = next_pid_++;
  child.request = request;
  child.is_worker = request.report == ipc::kChannelFd;
  const int third = placed_at(request, ipc::kChannelFd);
  if (third >= 0) (child.is_worker ? child.channel : child.notify) = copy_of(third);
  if (!child.is_worker && conduct != Conduct::serves) child.report = copy_of(request.report);
  child.obeys = conduct == Conduct::serves;
  if (child.is_worker) {
    child.table = copy_of(placed_at(request, ipc::kTableFd));
    child.room = room_in(placed_at(request, ipc::kPlanFd));
  }
  if (conduct == Conduct::dies) end(child, exited(1));
  if (conduct != Conduct::serves) return child.pid;
  if (!child.is_worker) {
    if (child.notify) (void)!::write(child.notify.get(), "\n", 1);
    return child.pid;
  }
  collect(child, 0, table_of(child).high_water());
  child.say(ipc::Hello{ipc::kProtocolVersion, {}});
  child.say(ipc::Ready{});
  return child.pid;
}

bool ScriptedSystem::is_visible_stray(pid_t pid) const {
  const auto found = strays_.find(pid);
  return found != strays_.end() && !found->second.is_hidden;
}

bool ScriptedSystem::signal_stray(pid_t pid, int signal) {
  const Stray stray = strays_.at(pid);
  deeds_.push_back(std::string(sys::signal_name(signal)) + " " + std::to_string(pid));
  strays_.erase(pid);
  if (stray.heir != 0) strays_.at(stray.heir).is_hidden = false;
  end_unknown(pid, killed_by(signal));
  return true;
}

std::string ScriptedSystem::title(pid_t pid) noexcept {
  const auto found = strays_.find(pid);
  return found == strays_.end() ? "" : found->second.title;
}

// Workers began at 1000.
std::optional<std::uint64_t> ScriptedSystem::start_time(pid_t pid) noexcept {
  const auto found = strays_.find(pid);
  return found == strays_.end() ? 1000 : found->second.began;
}

bool ScriptedSystem::holds_any(pid_t pid, std::span<const ino_t> sockets) noexcept {
  const auto found = strays_.find(pid);
  return found != strays_.end() &&
         std::ranges::any_of(sockets, [&](ino_t socket) { return found->second.sockets.contains(socket); });
}

bool ScriptedSystem::signal(pid_t pid, int signal, bool group) noexcept {
  if (strays_.contains(pid)) return signal_stray(pid, signal);
  const ScriptedChild* const leader = find(pid);
  const bool nobody = leader != nullptr && leader->has_ended && !(group && is_accompanied(pid));
  if (signal == SIGCONT || nobody) return true;
  const auto companion = group ? companions_.find(pid) : companions_.end();
  if (companion != companions_.end() && (signal == SIGKILL || companion->second == Companion::obeys)) {
    companions_.erase(companion);
  }
  deeds_.push_back(std::string(sys::signal_name(signal)) + " " + name_of(pid));
  ScriptedChild* const child = find(pid);
  if (child == nullptr) return connections_.contains(pid);
  child->signals.emplace_back(sys::signal_name(signal));
  const bool asks = signal == SIGTERM || signal == SIGINT;
  if (child->has_ended) return true;
  if (signal == SIGKILL || (asks && child->obeys)) end(*child, killed_by(signal));
  return true;
}

bool ScriptedSystem::has_ended(pid_t pid) noexcept {
  return std::ranges::find(ended_, pid) != ended_.end();
}

bool ScriptedSystem::is_child(pid_t pid) noexcept {
  return connections_.contains(pid) || has_ended(pid) || find(pid) != nullptr || is_visible_stray(pid);
}

int ScriptedSystem::status_of(pid_t pid) noexcept {
  const ScriptedChild* const child = find(pid);
  return child == nullptr ? unknown_[pid] : child->wait_status;
}

bool ScriptedSystem::has_living_child_in(pid_t leader) noexcept {
  const auto found = companions_.find(leader);
  return found != companions_.end() && found->second != Companion::is_deaf_and_no_child;
}

std::optional<bool> ScriptedSystem::scan_group(pid_t leader, process::GroupScan&) noexcept {
  return is_accompanied(leader);
}

std::vector<pid_t> ScriptedSystem::next_children(sys::ChildWalk&) noexcept {
  std::vector<pid_t> out(ended_.begin(), ended_.end());
  out.insert(out.end(), connections_.begin(), connections_.end());
  for (const auto& [pid, stray] : strays_) {
    if (!stray.is_hidden) out.push_back(pid);
  }
  return out;
}

std::optional<sys::Ended> ScriptedSystem::reap(pid_t pid, bool) noexcept {
  if (!has_ended(pid)) return std::nullopt;
  deeds_.push_back("reap " + name_of(pid));
  std::erase(ended_, pid);
  connections_.erase(pid);
  sys::Ended out;
  if (const ScriptedChild* const child = find(pid)) {
    out.wait_status = child->wait_status;
    std::erase_if(children_, [pid](const auto& one) { return one->pid == pid; });
  } else {
    out.wait_status = std::exchange(unknown_[pid], 0);
  }
  return out;
}

void ScriptedSystem::hear(ScriptedChild& child, const ipc::Down& message) {
  child.heard.push_back(text_of(message));
  if (!child.obeys) return;
  if (std::holds_alternative<ipc::Drain>(message)) child.say(ipc::Drained{0});
  if (std::holds_alternative<ipc::Signal>(message)) child.say(ipc::Signalled{1});
  std::visit([&child](const auto& order) { carry_out(child, order); }, message);
  if (!std::holds_alternative<ipc::Retire>(message)) return;
  deeds_.push_back("retire " + child.path);
  child.say(ipc::Retiring{ipc::RetireReason::asked, 0});
  end(child, exited(0));
}

bool ScriptedSystem::play() {
  bool any = false;
  for (const auto& child : children_) {
    ipc::Down message;
    sys::Fd descriptor;
    auto got = ipc::Received::message;
    while (child->channel &&
           (got = ipc::receive_down(child->channel.get(), message, descriptor)) == ipc::Received::message) {
      hear(*child, message);
      any = true;
    }
    if (got != ipc::Received::closed || !child->is_worker || std::exchange(child->is_alone, true)) continue;
    if (child->obeys) child->say(ipc::Drained{0});
    any = true;
  }
  return any;
}

}  // namespace bulkhead::rig
