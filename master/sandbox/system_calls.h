// The names of system calls, their numbers on the architectures that this machine executes, and the two lists that a
// sandbox may refer to by one word. Names and numbers are libseccomp's.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::sandbox {

// An architecture whose programs the kernel may execute here: the daemon's own, and the 32-bit one beside it. Both have
// to be filtered: a 64-bit program reaches the 32-bit calls by `int 0x80`.
struct Architecture {
  std::uint32_t audit;           // AUDIT_ARCH_*, seccomp_data::arch
  std::uint32_t seccomp;         // SCMP_ARCH_*
  std::uint32_t foreign_number;  // numbers from here on are another ABI's (x32), which is answered with ENOSYS
};
[[nodiscard]] std::span<const Architecture> architectures();

// Whether any of them has a system call of this name.
[[nodiscard]] bool is_system_call(std::string_view name);

// Its number. `architecture` is one of architectures(). Nothing: this architecture has no such call.
[[nodiscard]] std::optional<std::uint32_t> number_of(const Architecture& architecture, std::string_view name);

// All names, for "did you mean".
[[nodiscard]] const std::vector<std::string>& all_system_calls();

// What no server calls: mounts, modules, other processes' memory, kernel keys, clocks, raw devices, reboot. A program
// under the preset `common` gets an error from these.
[[nodiscard]] std::span<const std::string_view> never_called();

// What servers call; under the preset `server` everything else is refused.
[[nodiscard]] std::span<const std::string_view> called_by_servers();

}  // namespace bulkhead::sandbox
