// The names of capabilities (capabilities(7)).
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace bulkhead::sandbox {

// In the order of their numbers (linux/capability.h).
inline constexpr std::string_view kCapabilityNames =
    "CAP_CHOWN|CAP_DAC_OVERRIDE|CAP_DAC_READ_SEARCH|CAP_FOWNER|CAP_FSETID|CAP_KILL|CAP_SETGID|CAP_SETUID|"
    "CAP_SETPCAP|CAP_LINUX_IMMUTABLE|CAP_NET_BIND_SERVICE|CAP_NET_BROADCAST|CAP_NET_ADMIN|CAP_NET_RAW|"
    "CAP_IPC_LOCK|CAP_IPC_OWNER|CAP_SYS_MODULE|CAP_SYS_RAWIO|CAP_SYS_CHROOT|CAP_SYS_PTRACE|CAP_SYS_PACCT|"
    "CAP_SYS_ADMIN|CAP_SYS_BOOT|CAP_SYS_NICE|CAP_SYS_RESOURCE|CAP_SYS_TIME|CAP_SYS_TTY_CONFIG|CAP_MKNOD|CAP_LEASE|"
    "CAP_AUDIT_WRITE|CAP_AUDIT_CONTROL|CAP_SETFCAP|CAP_MAC_OVERRIDE|CAP_MAC_ADMIN|CAP_SYSLOG|CAP_WAKE_ALARM|"
    "CAP_BLOCK_SUSPEND|CAP_AUDIT_READ|CAP_PERFMON|CAP_BPF|CAP_CHECKPOINT_RESTORE";

// Those of a set, a bit each.
[[nodiscard]] inline std::vector<std::string_view> capability_names(std::uint64_t set) {
  std::vector<std::string_view> out;
  std::string_view rest = kCapabilityNames;
  for (unsigned number = 0; !rest.empty(); ++number) {
    const std::size_t bar = rest.find('|');
    if ((set >> number & 1) != 0) out.push_back(rest.substr(0, bar));
    rest = bar == std::string_view::npos ? "" : rest.substr(bar + 1);
  }
  return out;
}

}  // namespace bulkhead::sandbox
