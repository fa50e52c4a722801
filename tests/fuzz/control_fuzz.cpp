// Bytes become lines of the control protocol, as the server sees them, and replies, as a client does. Nothing may
// throw; an answer is one line of JSON; an accepted request has been checked.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "master/ctl/output.h"
#include "master/protocol/protocol.h"

namespace {

using namespace bulkhead::protocol;

void require(bool condition) {
  if (!condition) std::abort();
}

void require_line(const std::string& line) {
  require(line.find('\n') == line.size() - 1);
  require(nlohmann::ordered_json::accept(line));
}

void as_request(std::string_view line) {
  const auto parsed = parse_request(line);
  if (const auto* bad = std::get_if<BadRequest>(&parsed); bad != nullptr) {
    require(bad->failure.code < 0 && !bad->failure.message.empty());
    if (bad->id) require_line(error_line(*bad->id, bad->failure));
    return;
  }
  const Request& request = std::get<Request>(parsed);
  require(request.command != nullptr && !request.command->local && request.params.is_object());
  auto params = request.params;
  require(check_params(*request.command, params).empty());  // converted parameters are still valid
  if (request.id) require_line(result_line(*request.id, request.params));
}

void as_reply(std::string_view line) {
  const auto reply = parse_reply(line);
  if (const auto* answer = std::get_if<Answer>(&reply); answer != nullptr) {
    for (const Command& command : kCommands)
      (void)bulkhead::ctl::readable(command.name, answer->result, answer->result, {});
  }
  if (const auto* news = std::get_if<Notification>(&reply); news != nullptr) {
    (void)bulkhead::ctl::event_text(news->params, {});
    (void)bulkhead::ctl::log_line_text(news->params);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    as_request(line);
    as_reply(line);
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
  }
  return 0;
}
