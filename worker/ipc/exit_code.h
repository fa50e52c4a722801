// The exit status of a built-in handler's process is its last message: how the connection ended. Whoever reaps it, the
// worker or the master, reads it here. Programs have their own ideas of exit statuses, so this holds for built-ins only
// (connection_log.h).
#pragma once

namespace bulkhead::ipc {

enum class ExitCode : int {
  done = 0,          // the client was served, or went
  idle_timeout = 3,  // nothing moved for idle_timeout; sshd's number for a client that took too long
  no_input = 5       // the client went without having sent a byte, although that is what the handler is for
};

}  // namespace bulkhead::ipc
