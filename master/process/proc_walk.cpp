#include "master/process/proc_walk.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace bulkhead::process {

namespace {

bool is_zombie(pid_t pid) noexcept {
  std::array<char, 32> path{};
  std::snprintf(path.data(), path.size(), "/proc/%d/stat", pid);
  const sys::Fd file(open(path.data(), O_RDONLY | O_CLOEXEC));
  std::array<char, 512> text{};
  const ssize_t got = file ? ::read(file.get(), text.data(), text.size() - 1) : 0;
  if (got <= 0) return true;  // gone
  const std::string_view line(text.data(), static_cast<std::size_t>(got));
  const auto name_end = line.rfind(") ");
  if (name_end == std::string_view::npos) return false;
  const char state = line[name_end + 2];
  if (state != 'Z' && state != 'X') return false;
  // A process whose first thread has ended shows as a zombie, and its other threads go on.
  constexpr int kFieldsToThreads = 17;
  std::size_t at = name_end + 2;
  for (int i = 0; i < kFieldsToThreads && at != std::string_view::npos; ++i) at = line.find(' ', at + 1);
  return at == std::string_view::npos || std::atoi(text.data() + at + 1) <= 1;
}

bool is_member(const char* name, pid_t group) noexcept {
  if (*name < '1' || *name > '9') return false;
  const pid_t pid = std::atoi(name);
  return pid != group && getpgid(pid) == group && !is_zombie(pid);
}

}  // namespace

// Without WEXITED, zombies are no answer: ECHILD where nobody else is left.
bool has_living_child_in(pid_t leader) noexcept {
  siginfo_t info{};
  return waitid(P_PGID, static_cast<id_t>(leader), &info, WSTOPPED | WNOHANG | WNOWAIT) == 0;
}

std::optional<bool> GroupScan::finds(pid_t leader) noexcept {
  if (!proc_) proc_.reset(open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  alignas(dirent64) std::array<char, 32U << 10U> entries;
  const long got = proc_ ? syscall(SYS_getdents64, proc_.get(), entries.data(), entries.size()) : 0;
  for (long at = 0; at < got;) {
    const auto* entry = reinterpret_cast<const dirent64*>(entries.data() + at);
    at += entry->d_reclen;
    if (!is_member(entry->d_name, leader)) continue;
    proc_.reset();
    member_ = std::atoi(entry->d_name);
    return true;
  }
  if (got > 0) return std::nullopt;
  proc_.reset();
  return false;
}

bool is_user_running(std::uint32_t uid) noexcept {
  constexpr int kLargest = 19;
  errno = 0;
  const int nice = getpriority(PRIO_USER, uid);
  if (nice == -1 && errno != 0) return errno != ESRCH;
  return nice <= kLargest;  // a kernel that does not look, as that of a sandbox, answers a number that is none
}

}  // namespace bulkhead::process
