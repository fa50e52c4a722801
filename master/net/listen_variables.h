// LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES: how a service manager describes the sockets that it passes
// (sd_listen_fds(3)). Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::net {

// The values in the environment; null: not set.
struct ListenVariables {
  const char* pid = nullptr;
  const char* fds = nullptr;
  const char* names = nullptr;
};

struct PassedDescriptors {
  // By descriptor, from 3 on; "unknown" without LISTEN_FDNAMES, as in sd_listen_fds_with_names(3).
  std::vector<std::string> names;
  std::string remark;  // why no names are returned although LISTEN_FDS is set, or what is wrong with it; empty: nothing
};

// The part of it that is meant for the process `pid`.
[[nodiscard]] PassedDescriptors parse_listen_variables(const ListenVariables& variables, int pid);

}  // namespace bulkhead::net
