#include "master/protocol/protocol.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace bulkhead::protocol {

namespace {

using Json = nlohmann::ordered_json;

BadRequest bad(RequestId id, int code, std::string message) {
  return {std::move(id), {code, std::move(message), {}}};
}

// The parser itself keeps its stack on the heap, but the functions that visit the result recurse.
bool too_deep(std::string_view text) {
  std::size_t depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxNesting) return true;
    } else if ((c == '}' || c == ']') && depth > 0) {
      --depth;
    }
  }
  return false;
}

std::variant<Json, BadRequest> parse_json(std::string_view line) {
  if (too_deep(line)) {
    return bad(Json(nullptr), kParseError, fmt::format("nested more than {} levels deep", kMaxNesting));
  }
  try {
    return Json::parse(line.begin(), line.end());
  } catch (const Json::parse_error& error) {
    return bad(Json(nullptr), kParseError, fmt::format("not JSON in UTF-8, at byte {}", error.byte));
  } catch (const std::exception&) {
    return bad(Json(nullptr), kParseError, "not JSON: a number out of range");
  }
}

bool may_be_id(const Json& value) {
  return value.is_string() || value.is_number() || value.is_null();
}

BadRequest invalid(const Json& object, std::string message) {
  const auto id = object.find("id");
  const bool echo = id != object.end() && may_be_id(*id);
  return bad(echo ? *id : Json(nullptr), kInvalidRequest, std::move(message));
}

std::variant<Request, BadRequest> call_of(RequestId id, const std::string& method, Json params) {
  const Command* command = find_command(method);
  if (command == nullptr || command->local) return bad(std::move(id), kMethodNotFound, unknown_command_text(method));
  if (!params.is_object())
    return bad(std::move(id), kInvalidParams, "parameters are passed by name: expected an object");
  if (std::string complaint = check_params(*command, params); !complaint.empty()) {
    return bad(std::move(id), kInvalidParams, std::move(complaint));
  }
  return Request{std::move(id), command, std::move(params)};
}

std::string line_of(const Json& message) {
  return message.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string notification_line(std::string_view method, std::string_view params) {
  return fmt::format("{{\"jsonrpc\":\"2.0\",\"method\":\"{}\",\"params\":{}}}\n", method, params);
}

Failure failure_of(const Json& error) {
  Failure failure;
  if (const auto code = error.find("code"); code != error.end() && code->is_number_integer()) {
    failure.code = static_cast<int>(std::clamp<std::int64_t>(code->get<std::int64_t>(), -99'999, 99'999));
  }
  if (const auto text = error.find("message"); text != error.end() && text->is_string()) failure.message = *text;
  if (const auto word = error.find("data"); word != error.end() && word->is_string()) failure.word = *word;
  for (const auto& [name, value] : error.items()) {
    if (name != "code" && name != "message" && name != "data") failure.more[name] = value;
  }
  return failure;
}

}  // namespace

bool changes(const Request& request) {
  return request.command->changes || (request.command->name == "penalties" && request.params.contains("clear"));
}

std::variant<Request, BadRequest> parse_request(std::string_view line) {
  auto parsed = parse_json(line);
  if (auto* failure = std::get_if<BadRequest>(&parsed); failure != nullptr) return std::move(*failure);
  Json& object = std::get<Json>(parsed);
  if (object.is_array()) return invalid(Json::object(), "batches are not supported: send one object per line");
  if (!object.is_object()) return invalid(Json::object(), "expected an object");
  if (object.value("jsonrpc", Json()) != "2.0") return invalid(object, R"("jsonrpc" must be "2.0")");
  const auto method = object.find("method");
  if (method == object.end() || !method->is_string()) return invalid(object, R"("method" must be a string)");
  RequestId id;
  if (const auto given = object.find("id"); given != object.end()) {
    if (!may_be_id(*given)) return invalid(object, R"("id" must be a string, a number or null)");
    id = *given;
  }
  const auto params = object.find("params");
  return call_of(std::move(id), method->get<std::string>(),
                 params == object.end() ? Json::object() : std::move(*params));
}

std::string result_line(const Json& id, const Json& result) {
  return line_of({{"jsonrpc", "2.0"}, {"id", id}, {"result", result}});
}

std::string result_head(const Json& id) {
  return fmt::format("{{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":",
                     id.dump(-1, ' ', false, Json::error_handler_t::replace));
}

std::string error_line(const Json& id, const Failure& failure) {
  Json error{{"code", failure.code}, {"message", failure.message}};
  if (!failure.word.empty()) error["data"] = failure.word;
  error.update(failure.more);
  return line_of({{"jsonrpc", "2.0"}, {"id", id}, {"error", std::move(error)}});
}

std::string answer_line(const Json& id, const Answer& answer) {
  return answer.failure ? error_line(id, *answer.failure) : result_line(id, answer.result);
}

std::string request_line(std::uint64_t id, std::string_view method, const Json& params) {
  return line_of({{"jsonrpc", "2.0"}, {"id", id}, {"method", method}, {"params", params}});
}

std::string event_line(std::string_view event) {
  return notification_line("event", event);
}

std::string log_line(std::string_view line) {
  return notification_line("log", line);
}

std::variant<std::monostate, Answer, Notification> parse_reply(std::string_view line) {
  Json object = Json::parse(line.begin(), line.end(), nullptr, false);
  if (!object.is_object()) return {};
  if (const auto result = object.find("result"); result != object.end()) return Answer{std::move(*result), {}};
  if (const auto error = object.find("error"); error != object.end() && error->is_object()) {
    return Answer{nullptr, failure_of(*error)};
  }
  const auto params = object.find("params");
  const Json method = object.value("method", Json());
  if ((method == "event" || method == "log") && params != object.end()) return Notification{std::move(*params)};
  return {};
}

}  // namespace bulkhead::protocol
