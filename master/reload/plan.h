// The changes that a new configuration brings: decided before anything is touched, from the two effective files (as
// --dump-config prints them), and shown unchanged by `bulkheadctl diff`. Pure.
//
// Only what differs is touched:
//
//   in_place     the new value holds at once: intensity, strategy, limits, the number of workers, the log
//   new_workers  a listener gets workers of the new generation, ready before the old ones leave; its port, its
//                connections and its counts stay
//   restarted    a process is stopped and started as the new file says
//   reordered    children that stay change their places in the list that a supervisor starts, stops and restarts by
//   added        started after its older siblings, as OTP's start_child does; then it has its place in the list
//   removed      ended as by `stop` (a listener drains), then deleted
//   replaced     another type under the same id: removed, then added
//   taken_back   an earlier file removed it, and it has not ended: its end is called off. A listener, also one below
//   it,
//                gets new workers, because the old ones have closed its sockets
#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "worker/sys/enum_words.h"

namespace bulkhead::reload {

struct Change {
  enum class Kind : std::uint8_t { in_place, new_workers, restarted, added, removed, replaced, reordered, taken_back };
  Kind kind = Kind::in_place;
  std::string path;               // "root/web/echo"; or "daemon" or "log", which are not nodes
  std::vector<std::string> keys;  // the keys that differ; none: the whole node
};
inline constexpr sys::EnumWords<Change::Kind, sys::up_to(Change::Kind::taken_back)> kChangeWords{
    "in_place", "new_workers", "restarted", "added", "removed", "replaced", "reordered", "taken_back"};

// The options that a reload cannot change, because the daemon reads them only at its start. JSON pointers of options,
// or of whole sections.
inline constexpr std::array<std::string_view, 2> kFixed{"/control", "/daemon/pid_file"};
// The options of a listener that only its master keeps and its workers need not know.
inline constexpr std::array<std::string_view, 10> kListenerInPlace{
    "restart",      "significant", "start_timeout",   "workers",       "max_unavailable",
    "max_restarts", "max_seconds", "max_connections", "restart_delay", "max_connection_rate"};
// The options of a process that say when to start it and not how.
inline constexpr std::array<std::string_view, 10> kProcessInPlace{
    "restart",     "significant",   "shutdown",    "start_timeout",
    "watchdog",    "restart_delay", "normal_exit", "permanent_failure_exit",
    "stop_signal", "reload_signal"};

struct ReloadPlan {
  std::vector<Change> changes;             // in the order of the new file; removals before
  std::vector<std::string> needs_restart;  // JSON pointers of options that only a restart of the daemon changes
};

// A child that an earlier file removed, and that has not ended. Where the file in effect has another one of its name,
// that waits for its end.
struct Leaving {
  std::string path;
  nlohmann::ordered_json entry;
  bool can_be_taken_back = true;
};
[[nodiscard]] ReloadPlan plan_reload(nlohmann::ordered_json old_file, const nlohmann::ordered_json& new_file,
                                     std::vector<Leaving> leaving = {});

}  // namespace bulkhead::reload
