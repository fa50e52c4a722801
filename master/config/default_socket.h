// Where the control socket is unless the configuration says otherwise; for the daemon and its clients.
#pragma once

#include <cstdint>
#include <string>

namespace bulkhead::config {

// /run/bulkhead/control.sock for root; $XDG_RUNTIME_DIR/bulkhead/control.sock for others, and without that variable (or
// when it is no absolute path, which its specification says to ignore) /tmp/bulkhead-UID/control.sock.
[[nodiscard]] std::string default_control_socket(std::uint32_t uid, const char* xdg_runtime_dir);

// For this process: its effective user and its environment.
[[nodiscard]] std::string default_control_socket();

}  // namespace bulkhead::config
