// Decides what the end of a process child means for its supervisor. Pure.
//
//   exit status in permanent_failure_exit   permanent_failure: not restarted, whatever `restart` says
//   exit status in normal_exit              normal
//   any other status, any signal            abnormal
//
// Never returns `shutdown`: the tree itself knows the ends that it asked for.
#pragma once

#include <cerrno>
#include <cstdint>
#include <span>

#include "master/supervision/event.h"

namespace bulkhead::process {

// The errno of a start that failed for want of processes or memory: the host's trouble and not the child's.
[[nodiscard]] constexpr bool is_shortage(int error) noexcept {
  return error == EAGAIN || error == ENOMEM;
}

// `wait_status` as waitpid(2) gives it for a process that ended. A status in both lists is a permanent failure; the
// configuration does not let that happen.
[[nodiscard]] supervision::ExitReason judge_exit(int wait_status, std::span<const std::uint8_t> normal_exit,
                                                 std::span<const std::uint8_t> permanent_failure_exit) noexcept;

}  // namespace bulkhead::process
