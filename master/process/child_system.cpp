#include "master/process/child_system.h"

#include <sys/wait.h>

namespace bulkhead::process {

pid_t ChildSystem::some_ended() noexcept {
  siginfo_t info{};
  return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 ? info.si_pid : 0;
}

bool ChildSystem::is_child(pid_t pid) noexcept {
  siginfo_t info{};
  return waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

}  // namespace bulkhead::process
