// Leaves the terminal, as daemon(7) asks of a SysV daemon: two forks, a new session, / as working directory, /dev/null
// as standard input, output and error. The process that the shell waits for stays until the daemon reports the result
// of its start, and exits with that status. Errors before that are shown to the shell.
#pragma once

#include "worker/sys/fd.h"
#include "worker/sys/result.h"

namespace bulkhead::host {

class Detached {
 public:
  // Returns in the daemon only; an Error returns to the caller, which still has the terminal. Call it before anything
  // else is opened or forked, because pids, locks and sockets must belong to the daemon.
  [[nodiscard]] static sys::Result<Detached> detach();

  // A descriptor of the terminal on which the shell shows errors; -1 when the shell no longer waits.
  [[nodiscard]] int terminal() const noexcept { return terminal_.get(); }
  // The start is over: the shell's process exits with `status`. If the daemon dies before that, it exits with 71.
  void report(int status) noexcept;

 private:
  sys::Fd report_;
  sys::Fd terminal_;
};

}  // namespace bulkhead::host
