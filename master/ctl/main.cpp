// bulkheadctl: sends one request for a verb and prints the answer.
#include <fmt/format.h>
#include <langinfo.h>
#include <unistd.h>

#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>
#include <string_view>

#include "master/config/default_socket.h"
#include "master/config/paths.h"
#include "master/ctl/client.h"
#include "master/ctl/command_line.h"
#include "master/ctl/escape.h"
#include "master/ctl/output.h"
#include "master/ctl/rehearse.h"
#include "master/protocol/protocol.h"

namespace {

using namespace bulkhead;
using namespace bulkhead::ctl;
using Json = nlohmann::ordered_json;

constexpr std::uint64_t kRequestId = 1;

void print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

int complain(const std::string& text, int status) {
  fmt::print(stderr, "bulkheadctl: {}\n", text);
  return status;
}

Style style_of_terminal() {
  const char* no_color = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  const bool plain =
      (no_color != nullptr && *no_color != '\0') || terminal == nullptr || std::string_view(terminal) == "dumb";
  const bool utf8 = std::setlocale(LC_CTYPE, "") != nullptr && std::string_view(nl_langinfo(CODESET)) == "UTF-8";
  return {isatty(STDOUT_FILENO) == 1 && !plain, utf8};
}

class Conversation {
 public:
  Conversation(Client client, const Invocation& invocation)
      : client_(std::move(client)), invocation_(invocation), style_(style_of_terminal()) {}

  int run(const Json& params) {
    client_.send(protocol::request_line(kRequestId, invocation_.command->name, params));
    while (const auto line = client_.read_line()) {
      const auto reply = protocol::parse_reply(*line);
      const auto* answer = std::get_if<protocol::Answer>(&reply);
      if (answer == nullptr) continue;
      if (answer->failure) return print_failure(*answer->failure);
      if (invocation_.command->name == "events") return print_events(answer->result, params.value("follow", false));
      for (const Json& warning : member(answer->result, "warnings")) {
        if (warning.is_string()) complain(escaped(warning.get<std::string>()), 0);
      }
      print(invocation_.json ? json_text(answer->result) + "\n"
                             : readable(invocation_.command->name, params, answer->result, style_));
      return kOk;
    }
    return complain("the daemon closed the connection without an answer", kCannotConnect);
  }

 private:
  int print_failure(const protocol::Failure& failure) {
    const bool negative = failure.code == protocol::kNegative || failure.code == protocol::kNoSuchObject;
    if (invocation_.json) {
      print(json_text({{"error", failure.word.empty() ? failure.message : failure.word}}) + "\n");
    } else {
      std::istringstream lines(failure.message);
      for (std::string line; std::getline(lines, line);) complain(escaped(line), 0);
    }
    return negative ? kNo : kRefusedByDaemon;
  }

  int print_events(const Json& result, bool follow) {
    if (member_flag(result, "missed")) complain("some of the events before these are no longer available", 0);
    for (const Json& event : member(result, "events")) print_event(event);
    std::fflush(stdout);
    if (!follow) return kOk;
    while (const auto line = client_.read_line()) {
      const auto reply = protocol::parse_reply(*line);
      if (const auto* news = std::get_if<protocol::Notification>(&reply); news != nullptr) print_event(news->event);
      std::fflush(stdout);
    }
    return complain("the daemon closed the connection", kCannotConnect);
  }

  void print_event(const Json& event) { print(invocation_.json ? json_text(event) + "\n" : event_text(event, style_)); }

  Client client_;
  const Invocation& invocation_;
  Style style_;
};

int simulate(const Json& params) {
  std::optional<std::string> config;
  if (params.contains("config")) config = params["config"].get<std::string>();
  const Rehearsal result = rehearse(params["scenario"].get<std::string>(), config);
  if (!result.error.empty()) return complain(result.error, kNo);
  print(result.output);
  return kOk;
}

// The child goes to the daemon as text, so that the daemon's errors have the line and column of the user's file.
int load_child(Json& params) {
  const std::string path = params["child"];
  auto text = read_input(path);
  if (!text) return complain(text.error().text(), kCtlUsage);
  params["child"] = std::move(*text);
  params["file"] = path == "-" ? "standard input" : path;
  params["directory"] = config::directory_of(path == "-" ? "./-" : path);
  return kOk;
}

int run(const Invocation& invocation) {
  Json params = invocation.params;
  if (invocation.command->name == "simulate") return simulate(params);
  if (params.contains("child")) {
    if (const int status = load_child(params); status != kOk) return status;
  }
  // For people only: scripts get OTP's plain answer.
  if (invocation.command->name == "restart" && !invocation.json) params["remark"] = true;
  const std::string socket = invocation.socket.empty() ? config::default_control_socket() : invocation.socket;
  auto client = Client::connect(socket);
  if (!client) return complain("cannot " + client.error().text(), kCannotConnect);
  return Conversation(std::move(*client), invocation).run(params);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const Invocation invocation = parse_command_line({argv + 1, argv + argc});
    if (invocation.command != nullptr) return run(invocation);
    if (invocation.status != kOk) return complain(invocation.message, invocation.status);
    print(invocation.message);
    return kOk;
  } catch (const std::exception& error) {
    return complain(error.what(), kRefusedByDaemon);
  }
}
