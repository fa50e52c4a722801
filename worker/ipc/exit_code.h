// The exit status of a built-in handler's process says how the connection ended. The worker or the master that reaps it
// reads it here. Programs have exit statuses of their own, so this holds for built-ins only (connection_log.h).
#pragma once

namespace bulkhead::ipc {

enum class ExitCode : int {
  done = 0,          // the client was served, or disconnected
  idle_timeout = 3,  // neither side sent anything for idle_timeout; sshd's number for a client that took too long
  no_input = 5       // the client disconnected without having sent a byte, although the handler reads
};

}  // namespace bulkhead::ipc
