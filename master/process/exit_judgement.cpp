#include "master/process/exit_judgement.h"

#include <sys/wait.h>

#include <algorithm>

namespace bulkhead::process {

supervision::ExitReason judge_exit(int wait_status, std::span<const std::uint8_t> normal_exit,
                                   std::span<const std::uint8_t> permanent_failure_exit) noexcept {
  using supervision::ExitReason;
  if (!WIFEXITED(wait_status)) return ExitReason::abnormal;
  const auto status = static_cast<std::uint8_t>(WEXITSTATUS(wait_status));
  const auto listed = [status](std::span<const std::uint8_t> list) {
    return std::find(list.begin(), list.end(), status) != list.end();
  };
  if (listed(permanent_failure_exit)) return ExitReason::permanent_failure;
  return listed(normal_exit) ? ExitReason::normal : ExitReason::abnormal;
}

}  // namespace bulkhead::process
