// JSON-RPC 2.0 as bulkhead speaks it: one object a line, named parameters, no batches. Pure text in, text out; no
// socket. Source: https://www.jsonrpc.org/specification. Everything a peer sends is untrusted: any bytes are answered,
// none throw.
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
inline constexpr std::size_t kMaxNesting = 40;  // a child's own 32 levels (bulkhead.json(5)) and what is around it

// `id` as it came: a string, a number or null. Absent: a notification, which is carried out and not answered.
using RequestId = std::optional<nlohmann::ordered_json>;

struct Request {
  RequestId id;
  const Command* command = nullptr;  // never null, never a local one
  nlohmann::ordered_json params;     // checked: see check_params()
};

struct BadRequest {
  RequestId id;  // null where it could not be told; absent: not to be answered
  Failure failure;
};

[[nodiscard]] std::variant<Request, BadRequest> parse_request(std::string_view line);

// Whole lines, with their newline. Strings that are not UTF-8 are mended, not refused.
[[nodiscard]] std::string result_line(const nlohmann::ordered_json& id, const nlohmann::ordered_json& result);
// What stands before the text of a result and after it.
[[nodiscard]] std::string result_head(const nlohmann::ordered_json& id);
inline constexpr std::string_view kResultTail = "}\n";
[[nodiscard]] std::string error_line(const nlohmann::ordered_json& id, const Failure& failure);
[[nodiscard]] std::string answer_line(const nlohmann::ordered_json& id, const Answer& answer);
[[nodiscard]] std::string request_line(std::uint64_t id, std::string_view method, const nlohmann::ordered_json& params);
// `event` is an object's text.
[[nodiscard]] std::string event_line(std::string_view event);

// What a client reads: an answer, or an `event` notification. Nothing when the line is neither. The daemon is trusted
// not to nest more deeply than its own tree.
struct Notification {
  nlohmann::ordered_json event;
};
[[nodiscard]] std::variant<std::monostate, Answer, Notification> parse_reply(std::string_view line);

}  // namespace bulkhead::protocol
