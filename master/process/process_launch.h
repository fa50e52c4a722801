// Prepares the start of a process child: turns its configuration into the request for spawn(), with every descriptor
// made before the fork.
//
//   0       /dev/null
//   1, 2    pipes to the master, which logs them
//   3       `ready: notify_fd` only: s6's protocol (skarnet.org/software/s6/notifywhenup.html), a newline says "ready",
//   then
//           the program closes it. NOTIFY_FD=3 tells the number.
//
// Environment: child_environment.h. `ready: sd_notify` adds NOTIFY_SOCKET (sd_notify(3)) and, with a watchdog,
// WATCHDOG_USEC and WATCHDOG_PID (sd_watchdog_enabled(3)).
#pragma once

#include <string>
#include <vector>

#include "master/config/config.h"
#include "master/process/spawn.h"
#include "worker/sys/fd.h"
#include "worker/sys/result.h"

namespace bulkhead::process {

inline constexpr int kNotifyFd = 3;

// The child's ends, and the request that places them. Destroy it once spawn() has returned: as long as the master holds
// these ends, the other ends see no end of file.
struct Launch {
  SpawnRequest request;
  std::vector<sys::Fd> ends;

  // Descriptor `to` of the child; kept until the launch is over.
  void place(sys::Fd fd, int to);
};

// The program, its directory, its user and its descriptor 0; the caller places the other descriptors and sets `report`.
[[nodiscard]] sys::Result<Launch> prepare_launch(const config::Process& process, std::vector<std::string> environment);

struct Pipe {
  sys::Fd read;
  sys::Fd write;
};
// Both close-on-exec, and numbered above everything that is placed in a process child.
[[nodiscard]] sys::Result<Pipe> make_pipe(const char* purpose);

}  // namespace bulkhead::process
