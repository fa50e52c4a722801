// LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES: what a service manager says about the sockets it passes (sd_listen_fds(3)).
// Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::net {

// As found in the environment; null: not set.
struct ListenVariables {
  const char* pid = nullptr;
  const char* fds = nullptr;
  const char* names = nullptr;
};

struct PassedDescriptors {
  // By descriptor from 3 on; "unknown" without LISTEN_FDNAMES, as sd_listen_fds_with_names(3) has it.
  std::vector<std::string> names;
  std::string remark;  // why there are none although LISTEN_FDS is set, or what is odd; empty: nothing
};

// What of it is meant for the process `pid`.
[[nodiscard]] PassedDescriptors parse_listen_variables(const ListenVariables& variables, int pid);

}  // namespace bulkhead::net
