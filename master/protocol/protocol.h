// JSON-RPC 2.0 as bulkhead uses it: one object per line, named parameters, no batches. Pure: text in, text out; no
// socket. Source: https://www.jsonrpc.org/specification. Everything a peer sends is untrusted: every line gets an
// answer, and no input makes these functions throw.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "master/protocol/answer.h"
#include "master/protocol/command_table.h"

namespace bulkhead::protocol {

inline constexpr std::size_t kMaxRequest = 64 * 1024;  // bytes of a line, without its newline
inline constexpr std::size_t kMaxNesting = 40;  // the 32 levels of a child (bulkhead.json(5)) and what is around it

// The received `id`: a string, a number or null. Absent: a notification, which is carried out and not answered.
using RequestId = std::optional<nlohmann::ordered_json>;

struct Request {
  RequestId id;
  const Command* command = nullptr;  // never null, never a local one
  nlohmann::ordered_json params;     // checked: see check_params()
};

// Whether the request has an effect; the others only read.
[[nodiscard]] bool changes(const Request& request);

struct BadRequest {
  RequestId id;  // null if it is not known; absent: not to be answered
  Failure failure;
};

[[nodiscard]] std::variant<Request, BadRequest> parse_request(std::string_view line);

// These return whole lines with a newline. Invalid UTF-8 in strings is replaced, not refused.
[[nodiscard]] std::string result_line(const nlohmann::ordered_json& id, const nlohmann::ordered_json& result);
// The text before and after the text of a result that is sent in pieces.
[[nodiscard]] std::string result_head(const nlohmann::ordered_json& id);
inline constexpr std::string_view kResultTail = "}\n";
[[nodiscard]] std::string error_line(const nlohmann::ordered_json& id, const Failure& failure);
[[nodiscard]] std::string answer_line(const nlohmann::ordered_json& id, const Answer& answer);
[[nodiscard]] std::string request_line(std::uint64_t id, std::string_view method, const nlohmann::ordered_json& params);
// Notifications; the parameter is the text of an object.
[[nodiscard]] std::string event_line(std::string_view event);
[[nodiscard]] std::string log_line(std::string_view line);

// A line that a client reads: an answer, an `event` or `log` notification, or neither. The daemon is trusted not to
// nest more deeply than its own tree.
struct Notification {
  nlohmann::ordered_json params;
};
[[nodiscard]] std::variant<std::monostate, Answer, Notification> parse_reply(std::string_view line);

}  // namespace bulkhead::protocol
