#include "worker/confine/confine.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>

#include "worker/confine/identity.h"
#include "worker/confine/reaper.h"
#include "worker/confine/spaces.h"
#include "worker/confine/walls.h"
#include "worker/ipc/peer.h"
#include "worker/sys/raw.h"

namespace bulkhead::confine {

namespace {

using ipc::Failure;
using ipc::Stage;

constexpr int kProcess = 1;  // IOPRIO_WHO_PROCESS, ioprio_set(2)
constexpr std::uint64_t kNoLimit = ~std::uint64_t{0};

struct KernelLimit {  // struct rlimit64, prlimit(2)
  std::uint64_t soft;
  std::uint64_t hard;
};

// prlimit64(2) of this process; 0 or -errno.
long limit(std::uint32_t resource, const KernelLimit* wanted, KernelLimit* present) noexcept {
  return sys::raw(SYS_prlimit64, 0, static_cast<long>(resource), sys::raw_pointer(wanted), sys::raw_pointer(present));
}

Failure judge(Stage stage, long result) noexcept {
  return result < 0 ? Failure{stage, static_cast<int>(-result)} : Failure{};
}

Failure judge_call(Stage stage, int result) noexcept {
  return result < 0 ? Failure{stage, errno} : Failure{};
}

Failure set_oom_score(std::int32_t score) noexcept {
  char text[16] = "-";
  const bool negative = score < 0;
  std::size_t length = ipc::decimal_text(static_cast<std::uint32_t>(negative ? -score : score), text + 1) + 1;
  const int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return {Stage::oom_score, errno};
  const char* from = negative ? text : text + 1;
  if (!negative) --length;
  const ssize_t written = write(fd, from, length);
  const int error = errno;
  close(fd);
  return written == static_cast<ssize_t>(length) ? Failure{} : Failure{Stage::oom_score, error};
}

// A master that the system is to spare (OOMScoreAdjust= of its unit) does not pass that on.
Failure raise_oom_score(std::int32_t least) noexcept {
  const int fd = open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  char text[16];
  const ssize_t got = read(fd, text, sizeof text);
  close(fd);
  std::int32_t present = 0;
  for (ssize_t i = 0; i < got && text[i] >= '0' && text[i] <= '9'; ++i) present = present * 10 + (text[i] - '0');
  const bool is_lower = got > 0 && (text[0] == '-' || present < least);
  return is_lower ? set_oom_score(least) : Failure{};
}

// getpriority(2) by the system call, which has no ambiguous -1: it returns 20 - nice.
std::int32_t present_nice() noexcept {
  return 20 - static_cast<std::int32_t>(sys::raw(SYS_getpriority, PRIO_PROCESS, 0));
}

Failure set_nice(std::int32_t nice) noexcept {
  return judge(Stage::priority, sys::raw(SYS_setpriority, PRIO_PROCESS, 0, nice));
}

// A limit that the worker takes on itself, for its children to inherit: the core size does not hinder its work.
bool is_inherited(const ipc::ResourceLimit& wanted) noexcept {
  return wanted.resource == RLIMIT_CORE;
}

Failure make_room(const ipc::ResourceLimit& wanted) noexcept {
  KernelLimit present{};
  if (const long failed = limit(wanted.resource, nullptr, &present); failed < 0) return judge(Stage::limits, failed);
  if (is_inherited(wanted)) {
    present = {wanted.value, wanted.value};
  } else if (present.hard != kNoLimit && (wanted.value == kNoLimit || wanted.value > present.hard)) {
    present.hard = wanted.value;
  } else {
    return {};
  }
  return judge(Stage::limits, limit(wanted.resource, &present, nullptr));
}

// The hard limit stays, for programs that want more.
Failure lower_descriptors(std::uint64_t soft) noexcept {
  KernelLimit present{};
  if (const long failed = limit(RLIMIT_NOFILE, nullptr, &present); failed < 0) return judge(Stage::limits, failed);
  present.soft = soft < present.hard ? soft : present.hard;
  return judge(Stage::limits, limit(RLIMIT_NOFILE, &present, nullptr));
}

Failure change_root(const char* root, const char* directory) noexcept {
  if (root[0] != '\0' && chroot(root) != 0) return {Stage::root_directory, errno};
  return judge_call(Stage::directory, chdir(directory));
}

// A process that drops a capability from its bounding set cannot regain it, not even by executing a file that has it.
Failure empty_bounding_set(std::uint64_t kept) noexcept {
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability) >= 0; ++capability) {
    if ((kept >> capability & 1) != 0) continue;
    if (prctl(PR_CAPBSET_DROP, capability) != 0) return {Stage::privileges, errno};
  }
  return {};
}

bool has_none(__user_cap_header_struct& header) noexcept {
  __user_cap_data_struct now[2] = {};
  if (sys::raw(SYS_capget, sys::raw_pointer(&header), sys::raw_pointer(now)) != 0) return false;
  return std::all_of(std::begin(now), std::end(now), [](const __user_cap_data_struct& half) {
    return half.effective == 0 && half.permitted == 0 && half.inheritable == 0;
  });
}

// A change of user empties the permitted set, but not the inheritable one; and a daemon that is not root may have been
// started with some.
Failure keep_capabilities(std::uint64_t kept) noexcept {
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) return {Stage::privileges, errno};
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  if (kept == 0 && has_none(header)) return {};  // capset(2) may be forbidden to a daemon without any
  const auto low = static_cast<std::uint32_t>(kept);
  const auto high = static_cast<std::uint32_t>(kept >> 32U);
  const __user_cap_data_struct wanted[2] = {{low, low, low}, {high, high, high}};
  const Failure failure =
      judge(Stage::privileges, sys::raw(SYS_capset, sys::raw_pointer(&header), sys::raw_pointer(wanted)));
  if (failure) return failure;
  // Through exec, only those that are ambient (capabilities(7)).
  for (int capability = 0; kept >> capability != 0; ++capability) {
    if ((kept >> capability & 1) == 0) continue;
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) != 0) return {Stage::privileges, errno};
  }
  return {};
}

Failure set_privileged(const ipc::Confinement& wanted) noexcept {
  const Failure oom =
      wanted.has_oom_score_adj != 0 ? set_oom_score(wanted.oom_score_adj) : raise_oom_score(wanted.least_oom_score_adj);
  if (oom) return oom;
  if (wanted.ioprio != 0) {
    const long result = sys::raw(SYS_ioprio_set, kProcess, 0, static_cast<long>(wanted.ioprio));
    if (const Failure failure = judge(Stage::io_priority, result)) return failure;
  }
  if (wanted.has_nice != 0 && wanted.nice < present_nice()) {
    if (const Failure failure = set_nice(wanted.nice)) return failure;
  }
  for (std::uint32_t i = 0; i < wanted.limit_count; ++i) {
    if (const Failure failure = make_room(wanted.limits[i])) return failure;
  }
  return {};
}

}  // namespace

Failure settle(const ipc::Confinement& wanted, const char* root, const char* directory, bool founds) noexcept {
  if (const Failure failure = set_privileged(wanted)) return failure;
  if (founds) {
    if (const Failure failure = found_spaces(wanted.spaces, root)) return failure;
  }
  umask(wanted.umask);
  if (const Failure failure = change_root(root, directory)) return failure;
  const std::uint32_t uid = wanted.has_identity != 0 ? wanted.uid : geteuid();
  const bool loses_privilege = wanted.no_new_privileges != 0 && uid != 0;
  if (loses_privilege && geteuid() == 0) {
    if (const Failure failure = empty_bounding_set(wanted.capabilities)) return failure;
    // Kept over the change of user; exec clears it (prctl(2)).
    if ((wanted.capabilities != 0 || founds) && prctl(PR_SET_KEEPCAPS, 1) != 0) return {Stage::privileges, errno};
  }
  if (wanted.has_identity != 0) {
    if (const Failure failure = take_identity(wanted.uid, wanted.gid, wanted.groups, wanted.group_count))
      return failure;
  }
  if (founds) {
    // Capabilities that are kept over a change of user are permitted, but not effective.
    if (const Failure failure = keep_only(capabilities_for_spaces())) return failure;
  } else if (loses_privilege) {
    if (const Failure failure = keep_capabilities(wanted.capabilities)) return failure;
  }
  if (wanted.no_new_privileges == 0) return {};
  return judge_call(Stage::privileges, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

Limits limits_of(const ipc::Confinement& wanted) noexcept {
  Limits out;
  for (std::uint32_t i = 0; i < wanted.limit_count && i < ipc::kMaxLimits; ++i) {
    if (!is_inherited(wanted.limits[i])) out.limits[out.count++] = wanted.limits[i];
  }
  out.has_nice = wanted.has_nice != 0 && wanted.nice != present_nice() ? 1 : 0;
  out.nice = wanted.nice;
  out.soft_descriptors = wanted.soft_descriptors;
  return out;
}

Failure take_on(const Limits& limits) noexcept {
  for (std::uint32_t i = 0; i < limits.count; ++i) {
    const KernelLimit wanted{limits.limits[i].value, limits.limits[i].value};
    if (const Failure failure = judge(Stage::limits, limit(limits.limits[i].resource, &wanted, nullptr)))
      return failure;
  }
  if (limits.soft_descriptors != 0) {
    if (const Failure failure = lower_descriptors(limits.soft_descriptors)) return failure;
  }
  if (limits.has_nice != 0) {
    if (const Failure failure = set_nice(limits.nice)) return failure;
  }
  if (const Failure failure = enter_walls(limits.walls)) return failure;
  return enter_filter(limits.filter, limits.filter_size);
}

}  // namespace bulkhead::confine
