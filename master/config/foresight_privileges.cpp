#include "master/config/foresight_privileges.h"

#include <fmt/format.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/time.h>

#include <cerrno>
#include <fstream>
#include <string_view>

namespace bulkhead::config {
namespace {

struct Needs {
  Context& context;
  const Section& section;

  void blame(std::string_view key, std::string message) const {
    context.report(section.place_of(key), section.pointer_of(key), std::move(message));
  }
  void need(std::string_view key, int capability, std::string_view name) const {
    if (context.host().has_capability(capability)) return;
    blame(key, fmt::format("this needs {}, which the daemon does not have", name));
  }
};

// can_nice() of the kernel: a nicer limit of 40 allows -20.
bool may_be_nice(const Host& host, int nice) {
  rlimit limit{};
  if (host.has_capability(CAP_SYS_NICE) || nice >= getpriority(PRIO_PROCESS, 0)) return true;
  return getrlimit(RLIMIT_NICE, &limit) == 0 && static_cast<rlim_t>(20 - nice) <= limit.rlim_cur;
}

void check_nice(const Needs& needs, const ChildKeys& keys) {
  if (!keys.nice || may_be_nice(needs.context.host(), *keys.nice)) return;
  needs.blame("nice",
              fmt::format("a priority above the daemon's own, which is {}, needs CAP_SYS_NICE, which the daemon "
                          "does not have",
                          getpriority(PRIO_PROCESS, 0)));
}

void check_ioprio(const Needs& needs, const ChildKeys& keys) {
  constexpr int kRealtime = 1;
  constexpr int kShift = 13;
  if (!keys.ioprio || *keys.ioprio >> kShift != kRealtime) return;
  if (!needs.context.host().has_capability(CAP_SYS_ADMIN)) needs.need("ioprio", CAP_SYS_NICE, "CAP_SYS_NICE");
}

// The kernel's lower bound is the last value that a privileged process has set, and cannot be read.
void check_oom_score(const Needs& needs, const ChildKeys& keys) {
  int own = 0;
  if (!keys.oom_score_adj || needs.context.host().has_capability(CAP_SYS_RESOURCE)) return;
  if (!(std::ifstream("/proc/self/oom_score_adj") >> own) || *keys.oom_score_adj >= own) return;
  const std::string message = fmt::format(
      "a value below the daemon's own, which is {}, needs CAP_SYS_RESOURCE, which the daemon does not have", own);
  if (*keys.oom_score_adj < 0) return needs.blame("oom_score_adj", message);
  needs.context.warn(needs.section.place_of("oom_score_adj"), needs.section.pointer_of("oom_score_adj"), message);
}

void check_identity(const Needs& needs, const ChildKeys& keys) {
  if (!keys.identity) return;
  needs.need("user", CAP_SETGID, "CAP_SETGID");
  if (keys.identity->uid == 0) return;
  needs.need("user", CAP_SETUID, "CAP_SETUID");
  if (!keys.sandbox.new_privileges) needs.need("sandbox", CAP_SETPCAP, "CAP_SETPCAP");
}

}  // namespace

void foresee_privileges(Context& context, const Section& section, const ChildKeys& keys) {
  const Needs needs{context, section};
  check_nice(needs, keys);
  check_ioprio(needs, keys);
  check_oom_score(needs, keys);
  check_identity(needs, keys);
  if (!keys.chroot.empty()) needs.need("chroot", CAP_SYS_CHROOT, "CAP_SYS_CHROOT");
}

}  // namespace bulkhead::config
