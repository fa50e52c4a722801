#include "master/config/default_socket.h"

#include <unistd.h>

#include <cstdlib>
#include <string_view>

namespace bulkhead::config {

std::string default_control_socket(std::uint32_t uid, const char* xdg_runtime_dir) {
  if (uid == 0) return "/run/bulkhead/control.sock";
  const std::string_view runtime = xdg_runtime_dir == nullptr ? "" : xdg_runtime_dir;
  if (runtime.starts_with('/')) return std::string(runtime) + "/bulkhead/control.sock";
  return "/tmp/bulkhead-" + std::to_string(uid) + "/control.sock";
}

std::string default_control_socket() {
  return default_control_socket(geteuid(), std::getenv("XDG_RUNTIME_DIR"));
}

}  // namespace bulkhead::config
