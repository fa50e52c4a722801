#include "master/process/child_system.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <string>
#include <string_view>

#include "master/process/process_facts.h"
#include "worker/sys/fd.h"

namespace bulkhead::process {

namespace {

std::string contents_of(const char* path) {
  const sys::Fd file(open(path, O_RDONLY | O_CLOEXEC));
  std::string out;
  char piece[4096];
  for (ssize_t got = 0; (got = ::read(file.get(), piece, sizeof piece)) > 0;)
    out.append(piece, static_cast<std::size_t>(got));
  return out;
}

bool is_ours(idtype_t kind, pid_t id) noexcept {
  siginfo_t info{};
  return waitid(kind, static_cast<id_t>(id), &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

// proc_pid_children(5); empty where the kernel does not have it.
std::string own_children() {
  char path[64];
  std::snprintf(path, sizeof path, "/proc/self/task/%d/children", gettid());
  return contents_of(path);
}

}  // namespace

pid_t ChildSystem::some_ended() noexcept {
  siginfo_t info{};
  return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 ? info.si_pid : 0;
}

bool ChildSystem::is_child(pid_t pid) noexcept {
  return is_ours(P_PID, pid);
}

std::optional<std::uint32_t> ChildSystem::real_user(pid_t child) noexcept {
  constexpr std::string_view kKey = "\nUid:\t";
  char path[32];
  std::snprintf(path, sizeof path, "/proc/%d/status", child);
  const std::string status = contents_of(path);
  const std::size_t at = status.find(kKey);
  if (at == std::string::npos) return std::nullopt;
  std::uint32_t user = 0;
  const char* const text = status.data() + at + kKey.size();
  if (std::from_chars(text, status.data() + status.size(), user).ec != std::errc()) return std::nullopt;
  return user;
}

namespace {

std::string path_of(pid_t child, const char* entry) {
  char path[64];
  std::snprintf(path, sizeof path, "/proc/%d/%s", child, entry);
  return path;
}

std::string beginning_of(const std::string& path) {
  const sys::Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char text[1024];
  const ssize_t got = file ? ::read(file.get(), text, sizeof text) : 0;
  return {text, static_cast<std::size_t>(std::max<ssize_t>(got, 0))};
}

}  // namespace

std::string ChildSystem::title(pid_t child) noexcept {
  return beginning_of(path_of(child, "cmdline")).c_str();
}

std::optional<std::uint64_t> ChildSystem::start_time(pid_t child) noexcept {
  const auto facts = facts_of(child);
  return facts ? std::optional(facts->start) : std::nullopt;
}

// What was inherited from a worker has low numbers, and a process may have a million.
bool ChildSystem::holds_any(pid_t child, std::span<const ino_t> sockets) noexcept {
  constexpr int kMost = 256;
  char name[32];
  char target[64];
  for (int fd = 0; fd < kMost; ++fd) {
    std::snprintf(name, sizeof name, "fd/%d", fd);
    const ssize_t length = readlink(path_of(child, name).c_str(), target, sizeof target - 1);
    if (length < 0 && errno != ENOENT) return false;
    target[std::max<ssize_t>(length, 0)] = '\0';
    unsigned long inode = 0;
    if (std::sscanf(target, "socket:[%lu]", &inode) == 1 && std::ranges::find(sockets, inode) != sockets.end())
      return true;
  }
  return false;
}

namespace {

// Whether there are children of ours in it, all of them this user's.
bool is_group_of(ChildSystem& system, pid_t group, std::uint32_t user) {
  const std::string children = own_children();
  bool any = false;
  const char* const end = children.data() + children.size();
  for (const char* at = children.data(); at < end;) {
    pid_t child = 0;
    const auto [next, error] = std::from_chars(at, end, child);
    if (error != std::errc()) break;
    at = next + 1;
    if (getpgid(child) != group) continue;
    if (system.real_user(child) != user) return false;
    any = true;
  }
  return any;
}

}  // namespace

sys::LeftoverGroup ChildSystem::end_left_over(pid_t group, std::optional<std::uint32_t> user, bool due) noexcept {
  if (!sys::is_left_over(group) || !is_ours(P_PGID, group)) return sys::LeftoverGroup::gone;
  if (!due) return sys::LeftoverGroup::alive;
  if (user && !is_group_of(*this, group, *user)) return sys::LeftoverGroup::gone;
  return sys::end_left_over(group, true);
}

}  // namespace bulkhead::process
