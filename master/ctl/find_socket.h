// Which control socket bulkheadctl talks to: the one that the caller names (-s, then BULKHEAD_SOCKET), else the first
// of the default places that it may use: the calling user's daemon, then the system's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "master/ctl/client.h"

namespace bulkhead::ctl {

// The paths to try, in this order; one if the caller names it. `named` and `variable` may be empty.
[[nodiscard]] std::vector<std::string> socket_candidates(const std::string& named, const char* variable,
                                                         std::uint32_t uid, const char* xdg_runtime_dir);

struct Found {
  std::optional<Client> client;
  std::string path;                     // of the client, or empty
  std::vector<std::string> complaints;  // one for each path that was tried in vain: "cannot connect to …: …"
};
// For this process: its effective user and its environment.
[[nodiscard]] Found find_daemon(const std::string& named);

}  // namespace bulkhead::ctl
