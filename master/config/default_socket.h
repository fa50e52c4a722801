// The default path of the control socket, for the daemon and its clients.
#pragma once

#include <cstdint>
#include <string>

namespace bulkhead::config {

// /run/bulkhead/control.sock for root. For other users $XDG_RUNTIME_DIR/bulkhead/control.sock, or
// /tmp/bulkhead-UID/control.sock if that variable is not set or not an absolute path (its specification says to ignore
// it then).
[[nodiscard]] std::string default_control_socket(std::uint32_t uid, const char* xdg_runtime_dir);

// For this process: its effective user and its environment.
[[nodiscard]] std::string default_control_socket();

}  // namespace bulkhead::config
