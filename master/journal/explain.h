// Why a node is in the state it is in: the events that led there, in order, as sentences.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "master/journal/event_ring.h"

namespace bulkhead::journal {

// One event as a sentence, in the words of the log: "12:04:05.123 root/db (pid 812): killed by SIGSEGV." Empty for
// events that explain nothing.
[[nodiscard]] std::string sentence_of(const EventRecord& record);

// {"path", "state", "sentences"}: what happened to the node, to the supervisors above it, and to the siblings of either
// whose end stops others as well. `grouped(path)`: the supervisor at `path` restarts siblings together.
[[nodiscard]] nlohmann::ordered_json explain(const EventRing& events, const std::string& path, std::string_view state,
                                             const std::function<bool(const std::string&)>& grouped);

}  // namespace bulkhead::journal
