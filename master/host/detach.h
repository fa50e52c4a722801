// Leaving the terminal, as daemon(7) asks of a SysV daemon: two forks, a session of its own, / as directory, /dev/null
// as standard input, output and error. The process that the shell waits for stays until the daemon says how its start
// went, and ends with that; errors in between are the shell's to see.
#pragma once

#include "worker/sys/fd.h"
#include "worker/sys/result.h"

namespace bulkhead::host {

class Detached {
 public:
  // Returns in the daemon only. An Error is the caller's, who still has the terminal. Call it before anything else has
  // been opened or forked: pids, locks and sockets are the daemon's to take.
  [[nodiscard]] static sys::Result<Detached> detach();

  // Where the shell sees errors; -1 when it waits no more.
  [[nodiscard]] int terminal() const noexcept { return terminal_.get(); }
  // The start is over: the shell gets `status`, and its terminal back. A daemon that dies before is 71.
  void report(int status) noexcept;

 private:
  sys::Fd report_;
  sys::Fd terminal_;
};

}  // namespace bulkhead::host
