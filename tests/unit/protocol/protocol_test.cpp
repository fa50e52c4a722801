// Lines from a peer that may send anything.
#include "master/protocol/protocol.h"

#include <catch2/catch.hpp>

namespace bulkhead::protocol {
namespace {

using Json = nlohmann::ordered_json;

BadRequest refusal(const std::string& line) {
  auto parsed = parse_request(line);
  REQUIRE(std::holds_alternative<BadRequest>(parsed));
  return std::get<BadRequest>(std::move(parsed));
}

Request accepted(const std::string& line) {
  auto parsed = parse_request(line);
  REQUIRE(std::holds_alternative<Request>(parsed));
  return std::get<Request>(std::move(parsed));
}

std::string call(const std::string& members) {
  return R"({"jsonrpc":"2.0",)" + members + "}";
}

TEST_CASE("ids are returned unchanged") {
  for (const char* id : {"1", "-7", "1.5", "\"a\"", "\"\"", "null", "18446744073709551615"}) {
    INFO(id);
    const Request request = accepted(call(R"("id":)" + std::string(id) + R"(,"method":"status")"));
    REQUIRE(request.id);
    CHECK(request.id->dump() == id);
    CHECK(request.command->name == "status");
    CHECK(result_line(*request.id, {{"ok", true}}) ==
          R"({"jsonrpc":"2.0","id":)" + std::string(id) + R"(,"result":{"ok":true}})" + "\n");
  }
}

TEST_CASE("a request without an id is a notification, and its errors are not answered") {
  CHECK_FALSE(accepted(call(R"("method":"status")")).id);
  CHECK_FALSE(refusal(call(R"("method":"nonsense")")).id);
  CHECK_FALSE(refusal(call(R"("method":"explain","params":{})")).id);
}

TEST_CASE("parameters may be left out if none is required") {
  CHECK(accepted(call(R"("id":1,"method":"events")")).params == Json::object());
  CHECK(accepted(call(R"("id":1,"method":"events","params":{"since":3})")).params["since"] == 3);
}

TEST_CASE("bad requests have the numbers of JSON-RPC") {
  struct Row {
    std::string line;
    int code;
    std::string message;
  };
  const std::string deep_array(kMaxNesting + 1, '[');
  const std::vector<Row> rows = {
      {"", kParseError, "not JSON in UTF-8, at byte 1"},
      {"{", kParseError, "not JSON in UTF-8, at byte 2"},
      {"nonsense", kParseError, "not JSON in UTF-8, at byte 2"},
      {"{\"jsonrpc\":\"2.0\"}}", kParseError, "not JSON in UTF-8, at byte 18"},
      {std::string("\0\0", 2), kParseError, "not JSON in UTF-8, at byte 1"},
      {"\"\xff\"", kParseError, "not JSON in UTF-8, at byte 2"},
      {"\"\xc0\xaf\"", kParseError, "not JSON in UTF-8, at byte 2"},
      {"\"\xed\xa0\x80\"", kParseError, "not JSON in UTF-8, at byte 3"},
      {"1e999", kParseError, "not JSON: a number out of range"},
      {deep_array, kParseError, "nested more than 40 levels deep"},
      {std::string(60'000, '['), kParseError, "nested more than 40 levels deep"},
      {"[]", kInvalidRequest, "batches are not supported: send one object per line"},
      {"[" + call(R"("id":1,"method":"status")") + "]", kInvalidRequest,
       "batches are not supported: send one object per line"},
      {"3", kInvalidRequest, "expected an object"},
      {"{}", kInvalidRequest, "\"jsonrpc\" must be \"2.0\""},
      {R"({"jsonrpc":2.0,"id":1,"method":"status"})", kInvalidRequest, "\"jsonrpc\" must be \"2.0\""},
      {call(R"("id":1)"), kInvalidRequest, "\"method\" must be a string"},
      {call(R"("id":1,"method":7)"), kInvalidRequest, "\"method\" must be a string"},
      {call(R"("id":[1],"method":"status")"), kInvalidRequest, "\"id\" must be a string, a number or null"},
      {call(R"("id":true,"method":"status")"), kInvalidRequest, "\"id\" must be a string, a number or null"},
      {call(R"("id":1,"method":"statu")"), kMethodNotFound, "no method \"statu\"; did you mean \"status\"?"},
      {call(R"("id":1,"method":"simulate")"), kMethodNotFound, "no method \"simulate\""},
      {call(R"("id":1,"method":"")"), kMethodNotFound, "no method \"\""},
      {call(R"("id":1,"method":"status","params":[])"), kInvalidParams,
       "parameters are passed by name: expected an object"},
      {call(R"("id":1,"method":"status","params":null)"), kInvalidParams,
       "parameters are passed by name: expected an object"},
      {call(R"("id":1,"method":"stop","params":{"path":"root/ x"})"), kInvalidParams,
       "stop: parameter \"path\": expected a path such as root/web/echo"}};
  for (const Row& row : rows) {
    INFO(row.line.substr(0, 100));
    const BadRequest bad = refusal(row.line);
    CHECK(bad.failure.code == row.code);
    CHECK(bad.failure.message.substr(0, row.message.size()) == row.message);
    REQUIRE(bad.id);
  }
}

TEST_CASE("the id is echoed if it is known") {
  CHECK(*refusal(call(R"("id":5,"method":"nonsense")")).id == 5);
  CHECK(*refusal(R"({"jsonrpc":"1.0","id":"x","method":"status"})").id == "x");
  CHECK(refusal("{").id->is_null());
  CHECK(refusal(call(R"("id":{},"method":"status")")).id->is_null());
}

TEST_CASE("brackets in strings do not count as nesting") {
  const Request request =
      accepted(call(R"("id":"\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[","method":"tree")"));
  CHECK(request.command->name == "tree");
}

TEST_CASE("OTP's error word is in error.data") {
  CHECK(error_line(1, {kNegative, "root/a is running", "running"}) ==
        R"({"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"root/a is running","data":"running"}})"
        "\n");
  CHECK(error_line(nullptr, {kRefused, "no", ""}) ==
        R"({"jsonrpc":"2.0","id":null,"error":{"code":-32002,"message":"no"}})"
        "\n");
}

TEST_CASE("an answer stays one line of UTF-8, whatever is in it") {
  const std::string line = answer_line("\xff", {"a\nb\xc3", std::nullopt});
  CHECK(line.find('\n') == line.size() - 1);
  CHECK(Json::accept(line));
}

TEST_CASE("a client reads what the server writes") {
  auto reply = parse_reply(error_line(1, {kNegative, "no", "running"}));
  REQUIRE(std::holds_alternative<Answer>(reply));
  const Failure failure = *std::get<Answer>(reply).failure;
  CHECK(failure.code == kNegative);
  CHECK(failure.message == "no");
  CHECK(failure.word == "running");
  reply = parse_reply(result_line(1, {{"pid", 7}}));
  CHECK(std::get<Answer>(reply).result["pid"] == 7);
  reply = parse_reply(event_line(R"({"seq":3})"));
  CHECK(std::get<Notification>(reply).params["seq"] == 3);
  for (const char* line : {"", "{", "[]", "{}", R"({"error":3})", R"({"method":"event"})", "\xff"}) {
    CHECK(std::holds_alternative<std::monostate>(parse_reply(line)));
  }
  CHECK(accepted(request_line(4, "explain", {{"path", "root"}})).params["path"] == "root");
}

}  // namespace
}  // namespace bulkhead::protocol
