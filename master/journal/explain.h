// Why a node is in the state it is in: the events that led there, in order, as sentences.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "master/journal/event_ring.h"

namespace bulkhead::journal {

// One event as a sentence, in the words of the log: "12:04:05.123 root/db (pid 812): killed by SIGSEGV." Empty for
// events that explain nothing.
[[nodiscard]] std::string sentence_of(const EventRecord& record);

// Why a start failed that began after the event `since`: the last end of the node at `path`, or of one below it.
struct FailedStart {
  std::string path;   // the node that failed; empty: no event says so
  std::string words;  // "root/db (pid 812): exited with status 3 before it was ready"
  std::string began;  // when its process was started, as events have it; empty: it was not
};
[[nodiscard]] FailedStart why_not_started(const EventRing& events, const std::string& path, std::uint64_t since);

struct Explained {
  std::string path;
  std::string_view state;
  std::optional<std::string> waits_for;  // the path of another node
};

// {"path", "state", "waits_for", "sentences"}: what happened to the node, to the supervisors above it, to the siblings
// of either whose end stops others as well, and to the node that it waits for. Without the key if it waits for none.
// `grouped(path)`: the supervisor at `path` restarts siblings together.
[[nodiscard]] nlohmann::ordered_json explain(const EventRing& events, const Explained& node,
                                             const std::function<bool(const std::string&)>& grouped);

}  // namespace bulkhead::journal
