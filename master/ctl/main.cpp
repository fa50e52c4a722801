// bulkheadctl: sends one request for a verb and prints the answer.
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "master/config/paths.h"
#include "master/ctl/command_line.h"
#include "master/ctl/conversation.h"
#include "master/ctl/find_socket.h"
#include "master/ctl/printer.h"
#include "master/ctl/rehearse.h"
#include "master/ctl/shut_down.h"
#include "master/ctl/wait.h"

namespace {

using namespace bulkhead;
using namespace bulkhead::ctl;
using Json = nlohmann::ordered_json;

int simulate(const Json& params, bool json) {
  const Rehearsal result = rehearse(params, json);
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

int run(Invocation invocation) {
  // For people only: scripts get OTP's plain answer.
  if (invocation.command->name == "restart" && !invocation.json) invocation.params["remark"] = true;
  Json params = invocation.params;
  if (invocation.command->name == "simulate") return simulate(params, invocation.json);
  if (params.contains("child")) {
    if (const int status = load_child(params); status != kOk) return status;
  }
  Found found = find_daemon(invocation.socket);
  for (const std::string& complaint : found.client ? std::vector<std::string>() : found.complaints) {
    complain(complaint, kCannotConnect);
  }
  if (!found.client) return kCannotConnect;
  Conversation daemon(std::move(*found.client));
  const Printer printer(invocation);
  if (invocation.command->name == "wait") return wait_for_state(std::move(daemon), found.path, printer, params);
  if (invocation.command->name == "is-running") return is_running(daemon, printer, params);
  std::optional<Progress> progress = Progress::at_terminal(found.path, invocation);
  Progress* const shown = progress ? &*progress : nullptr;
  if (!invocation.targets.empty()) return ask_each(daemon, invocation, printer, shown);
  if (params.value("wait", false) && invocation.command->name == "shutdown") {
    return shut_down(daemon, found.path, printer, shown, params);
  }
  return ask_once(daemon, invocation, printer, params, shown);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    Invocation invocation = parse_command_line({argv + 1, argv + argc});
    if (invocation.command != nullptr) return run(std::move(invocation));
    if (invocation.status != kOk) return complain(invocation.message, invocation.status);
    print(invocation.message);
    return kOk;
  } catch (const std::exception& error) {
    return complain(error.what(), kRefusedByDaemon);
  }
}
