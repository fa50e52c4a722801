// `shutdown --wait`: the daemon cannot answer when it has stopped, so the client watches it go.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "master/ctl/conversation.h"
#include "master/ctl/printer.h"
#include "master/ctl/progress.h"

namespace bulkhead::ctl {

// Prints the answer and returns the status to exit with. `socket` is the daemon's; `progress` may be null.
[[nodiscard]] int shut_down(Conversation& daemon, const std::string& socket, const Printer& printer, Progress* progress,
                            nlohmann::ordered_json params);

}  // namespace bulkhead::ctl
