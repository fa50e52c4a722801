// What /proc/PID/stat says of a process. With its start time a pid means one process only.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace bulkhead::process {

struct ProcessFacts {
  pid_t pid = 0;
  pid_t parent = 0;
  pid_t group = 0;
  pid_t session = 0;
  std::uint64_t start = 0;  // clock ticks after the boot
  bool lives = false;       // no zombie
};
// A line of /proc/PID/stat. Pure.
[[nodiscard]] std::optional<ProcessFacts> facts_in(std::string_view stat) noexcept;
[[nodiscard]] std::optional<ProcessFacts> facts_of(pid_t pid) noexcept;
[[nodiscard]] std::vector<ProcessFacts> all_processes();

}  // namespace bulkhead::process
