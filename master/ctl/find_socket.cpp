#include "master/ctl/find_socket.h"

#include <unistd.h>

#include <cstdlib>

#include "master/config/default_socket.h"

namespace bulkhead::ctl {

std::vector<std::string> socket_candidates(const std::string& named, const char* variable, std::uint32_t uid,
                                           const char* xdg_runtime_dir) {
  if (!named.empty()) return {named};
  if (variable != nullptr && *variable != '\0') return {variable};
  std::vector<std::string> out{config::default_control_socket(uid, xdg_runtime_dir)};
  if (uid != 0) out.push_back(config::default_control_socket(0, nullptr));
  return out;
}

// Anybody may make the directory of a user's socket below /tmp before that user's daemon does.
Found find_daemon(const std::string& named) {
  const std::vector<std::string> paths =
      socket_candidates(named, std::getenv("BULKHEAD_SOCKET"), geteuid(), std::getenv("XDG_RUNTIME_DIR"));
  Found out;
  for (const std::string& path : paths) {
    auto client = Client::connect(path);
    if (client && paths.size() > 1 && !client->is_trusted()) {
      out.complaints.push_back("cannot use " + path + ": it belongs to another user");
    } else if (client) {
      out.client = std::move(*client);
      out.path = path;
      return out;
    } else {
      out.complaints.push_back("cannot " + client.error().text());
    }
  }
  return out;
}

}  // namespace bulkhead::ctl
