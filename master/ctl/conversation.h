// One connection to the daemon: a request and its answer, for a verb of the command line or for each of several nodes.
#pragma once

#include <chrono>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "master/ctl/client.h"
#include "master/ctl/command_line.h"
#include "master/ctl/printer.h"
#include "master/ctl/progress.h"
#include "master/ctl/targets.h"
#include "master/protocol/answer.h"

namespace bulkhead::ctl {

class Conversation {
 public:
  explicit Conversation(Client client) : client_(std::move(client)) {}

  // Called every half a second until the answer comes. False: it is not waited for any longer.
  using Waiting = std::function<bool()>;
  // Waits for the answer. Empty: there is none, for instance because the daemon has closed the connection.
  [[nodiscard]] std::optional<protocol::Answer> ask(std::string_view method, const nlohmann::ordered_json& params,
                                                    const Waiting& waiting = {});
  // The next event or log line, after an answer with `follow`. Empty: the daemon has closed the connection.
  [[nodiscard]] std::optional<nlohmann::ordered_json> next_news();
  // See Client::is_readable().
  [[nodiscard]] bool is_readable(const std::optional<std::chrono::steady_clock::time_point>& deadline) const {
    return client_.is_readable(deadline);
  }

  [[nodiscard]] Client client() && { return std::move(client_); }

 private:
  Client client_;
};

// Each prints the answer and returns the status to exit with; `progress`, which may be null, shows what it waits for.
[[nodiscard]] int ask_once(Conversation& daemon, const Invocation& invocation, const Printer& printer,
                           const nlohmann::ordered_json& params, Progress* progress);
// Requests one after another, because a later node may depend on an earlier one. kNo if any of them failed or a pattern
// has no match.
[[nodiscard]] int ask_each(Conversation& daemon, const Invocation& invocation, const Printer& printer,
                           Progress* progress);

}  // namespace bulkhead::ctl
