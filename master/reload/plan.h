// The changes that a new configuration brings: decided before anything is touched, from the two effective files (as
// --dump-config prints them) and from what the tree has of them, and shown unchanged by `bulkheadctl diff`. Pure.
//
// Only what differs is touched, and what an operator has stopped, or what has finished, is not started:
//
//   in_place     the new value holds at once: intensity, strategy, limits, the number of workers, the log; or, of a
//                node that does not run, from its next start
//   new_workers  a listener gets workers of the new generation, ready before the old ones leave; its port, its
//                connections and its counts stay
//   restarted    a process is stopped and started as the new file says
//   reordered    children that stay change their places in the list that a supervisor starts, stops and restarts by
//   added        started after its older siblings, as OTP's start_child does; then it has its place in the list. Also
//                what the file had already and the tree has not: it was deleted, or it was temporary, has ended, and
//                is another one in the new file
//   removed      ended as by `stop` (a listener drains), then deleted
//   replaced     another type under the same id: removed, then added
//   taken_back   an earlier file removed it, and it has not ended: its end is called off. A listener, also one below
//                it, gets new workers, because the old ones have closed its sockets
//   started      an earlier reload has left it stopped, because it failed and could not be undone; or the file has left
//                its start to operators and no longer does; with --reset also what an operator has stopped
//   resumed      (--reset) an operator had suspended it
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "worker/sys/enum_words.h"

namespace bulkhead::reload {

struct Change {
  enum class Kind : std::uint8_t {
    in_place,
    new_workers,
    restarted,
    added,
    removed,
    replaced,
    reordered,
    started,
    resumed,
    taken_back
  };
  Kind kind = Kind::in_place;
  std::string path;               // "root/web/echo"; or "daemon" or "log", which are not nodes
  std::vector<std::string> keys;  // the keys that differ; none: the whole node
};
inline constexpr sys::EnumWords<Change::Kind, sys::up_to(Change::Kind::taken_back)> kChangeWords{
    "in_place", "new_workers", "restarted", "added",   "removed",
    "replaced", "reordered",   "started",   "resumed", "taken_back"};

// The options that a reload cannot change, because the daemon reads them only at its start. JSON pointers of options,
// or of whole sections.
inline constexpr std::array<std::string_view, 2> kFixed{"/control", "/daemon/pid_file"};
// The options of a listener that only its master keeps and its workers need not know.
inline constexpr std::array<std::string_view, 13> kListenerInPlace{
    "restart",      "significant",   "start_timeout",   "workers",       "max_unavailable",
    "max_restarts", "max_seconds",   "max_connections", "restart_delay", "max_connection_rate",
    "log",          "log_addresses", "reserved"};
// The options of a process that say when to start it and not how, or what comes before and after.
inline constexpr std::array<std::string_view, 15> kProcessInPlace{
    "restart",     "significant",   "shutdown",    "start_timeout",
    "watchdog",    "restart_delay", "normal_exit", "permanent_failure_exit",
    "stop_signal", "reload_signal", "start",       "start_delay",
    "pre_start",   "post_stop",     "log"};

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
// What the tree has at the path of an entry.
enum class Presence : std::uint8_t {
  up,
  down,         // stopped or failed, or about to be stopped by an operator
  interrupted,  // stopped, but only because a reload could not start it again
  dormant,      // stopped, because the file leaves its start to operators
  gone,         // its supervisor runs without it
  out_of_reach  // its supervisor does not run, and starts it when it does
};
struct Present {
  std::function<Presence(const std::string& path)> at = [](const std::string&) { return Presence::up; };
  // An operator had it removed, so that it comes back even if it is temporary.
  std::function<bool(const std::string& path)> is_deleted = [](const std::string&) { return false; };
};

// Whether an entry of `children` is one of the tree's. Those that are disabled count as not written.
[[nodiscard]] bool is_enabled(const nlohmann::ordered_json& entry);

[[nodiscard]] ReloadPlan plan_reload(nlohmann::ordered_json old_file, nlohmann::ordered_json new_file,
                                     const Present& present = {}, std::vector<Leaving> leaving = {});

}  // namespace bulkhead::reload
