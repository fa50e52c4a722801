// A bulkheadd that takes over from another: executed by it, as the same process (upgrade.h) or as a dry run.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "master/host/log_target.h"
#include "master/host/pid_file.h"
#include "master/upgrade/handover.h"
#include "master/upgrade/rehearsal.h"

namespace bulkhead::upgrade {

struct Adopting {
  std::string descriptors;  // "7,9": the state, and the previous program; -1: it is not to be executed again
  std::string rolled_back;  // not empty: this is the previous program, executed again, and why
  bool dry_run = false;
  std::string version;  // of this program
};

// The parts that a daemon which takes over is made from.
struct Inheritance {
  Blueprint blueprint;
  host::LogTarget log;
  host::PidFile pid_file;
};

// The daemon that takes over, as take_over() needs it.
class Heir {
 public:
  virtual ~Heir() = default;
  // Restores everything. Returns the problem; after one the Heir must not be destroyed.
  [[nodiscard]] virtual std::string resume(Handover& from, const std::string& rolled_back) = 0;
  virtual int run_on() = 0;  // returns the exit status
};
using MakeHeir = std::function<std::unique_ptr<Heir>(Inheritance)>;

// Returns the exit status. If taking over fails, the previous program is executed again and this does not return.
int take_over(const Adopting& how, const MakeHeir& make_heir);

// Called first in main(): opens the way back (way_back.h) if an option names the previous program. `command_line` is
// without those options.
void open_way_back_of(const std::vector<std::string>& command_line, char** argv);

}  // namespace bulkhead::upgrade
