#include "master/sandbox/report.h"

#include <fmt/format.h>

#include "master/sandbox/capabilities.h"
#include "worker/confine/landlock.h"

namespace bulkhead::sandbox {
namespace {

Wall user_of(const Setting& setting) {
  if (setting.is_root) return {"user", Holds::no, "runs as root", "user"};
  if (setting.user.empty()) return {"user", Holds::no, "runs as the daemon's own user", "user"};
  if (setting.has_own_user) {
    return {"user", Holds::yes, fmt::format("runs as {}, a user of its own", setting.user), "user"};
  }
  return {"user", Holds::yes, "runs as " + setting.user, "user"};
}

Wall privileges_of(const Policy& policy) {
  const char* const key = "sandbox/new_privileges";
  if (policy.new_privileges) return {"privileges", Holds::no, "programs can gain privileges", key};
  return {"privileges", Holds::yes, "no program gains privileges: set-user-ID programs such as sudo do not work", key};
}

Wall capabilities_of(const Policy& policy, const Setting& setting) {
  const char* const key = "sandbox/keep_capabilities";
  if (setting.is_listener && policy.spaces != 0)
    return {"capabilities", Holds::yes, "has none and gets none, not even as root", "sandbox/private"};
  if (setting.is_root) return {"capabilities", Holds::no, "has those of the daemon", "user"};
  if (policy.new_privileges) return {"capabilities", Holds::no, "has none, and programs can gain some", key};
  if (policy.capabilities == 0) return {"capabilities", Holds::yes, "has none and gets none", key};
  return {"capabilities", Holds::yes,
          fmt::format("has only {}", fmt::join(capability_names(policy.capabilities), ", ")), key};
}

Wall signals_of(const Policy& policy, const Setting& setting) {
  const char* const key = "sandbox/scope";
  const char* const all =
      setting.has_own_user ? "can signal all processes of its listener" : "can signal all processes of its user";
  const Holds without = setting.has_own_user ? Holds::part : Holds::no;
  const bool scoped =
      setting.is_listener && policy.scope == ScopeOf::connection && setting.landlock >= confine::kLandlockScopes;
  if ((policy.spaces & ipc::kPrivatePids) != 0 && !scoped)
    return {"signals", Holds::yes, "sees no process outside", "sandbox/private"};
  if (!setting.is_listener) return {"signals", without, all, "user"};
  if (!policy.new_privileges && setting.landlock < confine::kLandlockScopes) {
    return {"signals", without, fmt::format("{}: the kernel has no Landlock scopes (Linux 6.12)", all), "user"};
  }
  if (policy.new_privileges || policy.scope == ScopeOf::off) return {"signals", without, all, key};
  const char* const around = policy.scope == ScopeOf::connection ? "its connection" : "its worker";
  return {"signals", Holds::yes,
          fmt::format("cannot signal processes outside of {}, nor connect to their abstract sockets", around), key};
}

std::string changes_of(const SystemCalls& calls) {
  std::string out;
  if (!calls.allow.empty()) out += fmt::format("; allowed besides: {}", fmt::join(calls.allow, ", "));
  if (!calls.deny.empty()) out += fmt::format("; forbidden besides: {}", fmt::join(calls.deny, ", "));
  return out;
}

const char* answer_text(Then then) {
  switch (then) {
    case Then::kill: return "the others kill the process";
    case Then::log: return "the others are logged by the kernel, and carried out";
    case Then::eperm: break;
  }
  return "the others fail";
}

const char* list_text(CallList list) {
  switch (list) {
    case CallList::server: return "those that servers call";
    case CallList::common: return "all but those that no server calls, such as mount and ptrace";
    case CallList::any: break;
  }
  return "all";
}

Wall system_calls_of(const Policy& policy) {
  const char* const key = "sandbox/system_calls";
  const SystemCalls& calls = policy.calls;
  if (policy.new_privileges || (calls.list == CallList::any && calls.deny.empty())) {
    return {"system calls", Holds::no, "all are allowed", key};
  }
  return {"system calls", calls.then == Then::log ? Holds::part : Holds::yes,
          fmt::format("allowed: {}{}; {}", list_text(calls.list), changes_of(calls), answer_text(calls.then)), key};
}

std::string paths_text(const char* how, const std::vector<std::string>& paths) {
  return paths.empty() ? "" : fmt::format("{} {}; ", how, fmt::join(paths, ", "));
}

Wall files_of(const Policy& policy, const Setting& setting) {
  const char* const key = "sandbox/paths";
  const Files& files = policy.files;
  if (!files.restricted) return {"files", Holds::no, "all that its user can reach", key};
  std::string text = paths_text("executes", files.execute) + paths_text("reads", files.read) +
                     paths_text("changes", files.write) + (files.others_readable ? "reads all others" : "no others");
  if (setting.landlock >= confine::kLandlockTruncate) return {"files", Holds::yes, text, key};
  return {"files", Holds::part, text + "; can truncate what its user can write (until Linux 6.2)", key};
}

std::string ports_text(const std::vector<std::uint16_t>& ports) {
  return ports.empty() ? std::string("no port") : fmt::format("{}", fmt::join(ports, ", "));
}

Wall network_of(const Policy& policy) {
  const char* const key = "sandbox/network";
  if (!policy.network) return {"network", Holds::yes, "new sockets are Unix sockets", key};
  if (!policy.ports.restricted) return {"network", Holds::no, "any connection", key};
  return {"network", Holds::part,
          fmt::format("TCP: connects to {}; listens on {}; other protocols are not restricted",
                      ports_text(policy.ports.connect), ports_text(policy.ports.bind)),
          key};
}

std::string space_text(Space space) {
  switch (space) {
    case Space::tmp: return "an empty /tmp and /var/tmp";
    case Space::pids: return "its own process numbers, so that it sees no other process and leaves none behind";
    case Space::ipc: return "its own System V IPC and POSIX message queues";
    case Space::devices: return "a /dev with null, zero, full, random, urandom and shm only";
    case Space::network: return "a network without any interface, besides its connection";
  }
  return "";
}

Wall private_of(const Policy& policy) {
  std::string text;
  for (std::size_t i = 0; i < kSpaceWords.size(); ++i) {
    if ((policy.spaces >> i & 1U) == 0) continue;
    text += (text.empty() ? "has " : "; ") + space_text(static_cast<Space>(i));
  }
  if (text.empty())
    return {"private", Holds::no, "shares the system's /tmp, processes, IPC, devices and network", "sandbox/private"};
  return {"private", Holds::yes, text, "sandbox/private"};
}

Wall memory_of(const Policy& policy) {
  const char* const key = "sandbox/write_execute";
  if (policy.write_execute) return {"memory", Holds::no, "can be written and executed", key};
  return {"memory", Holds::yes, "is not executed after it was written", key};
}

}  // namespace

std::vector<Wall> walls_of(const Policy& policy, const Setting& setting) {
  return {user_of(setting),
          privileges_of(policy),
          capabilities_of(policy, setting),
          signals_of(policy, setting),
          system_calls_of(policy),
          files_of(policy, setting),
          network_of(policy),
          private_of(policy),
          memory_of(policy)};
}

}  // namespace bulkhead::sandbox
