// The addresses of a configuration that other programs listen at, for --check: a start would fail. A daemon that runs
// with the same control socket is no other program. Binds nothing and connects to nothing but that socket.
#pragma once

#include <string>
#include <vector>

#include "master/config/config.h"

namespace bulkhead::net {

// "root/web: warning: 127.0.0.1:80 is in use by nginx (pid 812)", "... may be in use by ..."
[[nodiscard]] std::vector<std::string> addresses_in_use(const config::Config& config);

}  // namespace bulkhead::net
