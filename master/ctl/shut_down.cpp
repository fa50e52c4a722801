#include "master/ctl/shut_down.h"

#include <chrono>
#include <utility>

namespace bulkhead::ctl {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::chrono::milliseconds kLook{500};

// Follows the events, because a client that does is not disconnected for being idle. False: there is no daemon.
bool watch(const std::string& socket, Progress* progress) {
  auto client = Client::connect(socket);
  if (!client) return false;
  Conversation events(std::move(*client));
  const auto answer = events.ask("events", {{"last", 0}, {"follow", true}});
  if (!answer || answer->failure) return true;
  for (;;) {
    while (progress != nullptr && !events.is_readable(std::chrono::steady_clock::now() + kLook)) progress->look("");
    if (!events.next_news()) return true;
  }
}

}  // namespace

int shut_down(Conversation& daemon, const std::string& socket, const Printer& printer, Progress* progress,
              Json params) {
  params.erase("wait");
  const auto answer = daemon.ask("shutdown", params);
  if (!answer) return complain("the daemon closed the connection without an answer", kCannotConnect);
  if (answer->failure) return printer.failure(*answer->failure);
  while (watch(socket, progress)) {
  }
  if (progress != nullptr) progress->clear();
  if (printer.json()) return printer.result("shutdown", params, answer->result);
  print("the daemon has stopped\n");
  return kOk;
}

}  // namespace bulkhead::ctl
