// `is-running` and `wait`: verbs for scripts, made of requests that the daemon has anyway. `wait` follows the events,
// so that it neither polls nor misses a state that a node only passes through; it survives an upgrade of the daemon.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "master/ctl/conversation.h"
#include "master/ctl/printer.h"

namespace bulkhead::ctl {

// The status to exit with. Says nothing in text, unless the node does not exist.
[[nodiscard]] int is_running(Conversation& daemon, const Printer& printer, const nlohmann::ordered_json& params);

// `socket` is the one of `daemon`.
[[nodiscard]] int wait_for_state(Conversation daemon, const std::string& socket, const Printer& printer,
                                 const nlohmann::ordered_json& params);

// What a node's present state says about one that is waited for. Pure.
enum class Prospect {
  reached,
  open,      // it may still come
  doubtful,  // it has ended by itself, or is between two steps of a restart: the next moments tell
  never      // not by itself
};
// `node` is an element of the answer to `tree`.
[[nodiscard]] Prospect prospect_of(const nlohmann::ordered_json& node, std::string_view wanted);

// The state that a node has come into with this event, or empty.
[[nodiscard]] std::string_view state_after(const nlohmann::ordered_json& event);

}  // namespace bulkhead::ctl
