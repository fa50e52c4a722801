// What a new configuration changes: decided before anything is touched, from the two effective files (those that
// --dump-config prints), and shown as it is by `bulkheadctl diff`. Pure.
//
// Only what differs is touched:
//
//   in_place     the new value holds at once: intensity, strategy, limits, the number of workers, the log
//   new_workers  a listener gets workers of the new generation, ready before the old ones leave; its port, its
//                connections and its counts stay
//   restarted    a process is stopped and started as the new file says
//   reordered    children that stay change their places in the list that a supervisor starts, stops and restarts by
//   added        started behind its elder siblings, as OTP's start_child does; then it has its place in the list
//   removed      ended as by `stop` (a listener drains), then deleted
//   replaced     another type under the same id: removed, then added
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace bulkhead::reload {

struct Change {
  enum class Kind : std::uint8_t { in_place, new_workers, restarted, added, removed, replaced, reordered };
  Kind kind = Kind::in_place;
  std::string path;               // "root/web/echo"; "daemon" and "log" are no nodes
  std::vector<std::string> keys;  // those that differ; none: the whole node
};
[[nodiscard]] const char* kind_text(Change::Kind kind);

struct ReloadPlan {
  std::vector<Change> changes;             // in the order of the new file; removals before
  std::vector<std::string> needs_restart;  // JSON pointers of what only a restart of the daemon changes
};

[[nodiscard]] ReloadPlan plan_reload(const nlohmann::ordered_json& old_file, const nlohmann::ordered_json& new_file);

}  // namespace bulkhead::reload
