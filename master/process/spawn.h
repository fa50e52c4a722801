// Starts every child of the master: workers and processes. Runs on the loop's thread; the child only prepares itself
// and execs.
//
// Ownership: the request keeps its descriptors, the child gets duplicates under the numbers it asks for and nothing
// else.
// Errors: EAGAIN and ENOMEM are returned at once and never retried here. A failure in the child before exec arrives as
// an ipc::Fail on the descriptor that the child knows as `report` (ipc::read_failure), and exit status 127.
// A first command is a child of the new process and a member of its group; it has its descriptors 0 to 2, its user and
// its limits. While it runs, the new process waits for it, with the master's memory but without any of its descriptors.
// After fork: async-signal-safe calls only; the master's signals are blocked for its whole life and have no handlers,
// so nothing of the master can run in the child (worker/sys/signal.h).
#pragma once

#include <linux/filter.h>
#include <sys/types.h>

#include <string>
#include <vector>

#include "master/sandbox/policy.h"
#include "worker/ipc/confinement.h"
#include "worker/sys/result.h"

namespace bulkhead::process {

struct Placement {
  int from;  // in the master
  int to;    // in the child; 0, 1, 2, 3 … without a gap
};

// A command that a new process executes, in a child of its own, before its program.
struct FirstCommand {
  std::vector<std::string> argv;  // empty: none; argv[0] is the path
  std::vector<std::string> environment;
};

struct SpawnRequest {
  int program = -1;  // an open program to execute; -1: `path` is executed
  std::string path;  // empty: argv[0]
  std::vector<std::string> argv;
  std::vector<std::string> environment;  // NAME=value, all of it
  std::string pid_variable;              // not empty: NAME=<the child's own pid>, which is known only after the fork
  std::vector<Placement> descriptors;
  int report = -1;  // the child's number if it is among `descriptors`, else a close-on-exec descriptor of the master
  ipc::Confinement confinement;
  std::vector<sock_filter> filter;  // of system calls, for the new process; empty: none
  sandbox::Files files;
  sandbox::Ports ports;
  std::string root;  // empty: the master's
  std::string directory = "/";
  bool own_session = true;
  bool kills_group = true;  // signals from outside reach its whole group, where it has process numbers of its own
  bool raised_descriptor_limit = false;  // it keeps the master's (descriptor_limit.h)
  int parent_death_signal = 0;           // 0: outlives the master
  FirstCommand first;                    // unless it exits with 0, the start fails (ipc::Stage::pre_start)
};

inline constexpr int kExecFailed = 127;

[[nodiscard]] sys::Result<pid_t> spawn(const SpawnRequest& request);

}  // namespace bulkhead::process
