// The state of a process that foreign code may spoil although the process still has to work, and to fork, after it:
// captured before, compared after.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <array>
#include <csignal>
#include <map>
#include <string>

namespace bulkhead::modules {

class ProcessState {
 public:
  [[nodiscard]] static ProcessState capture();

  enum class Descriptors { compare, ignore };
  // The first thing that is no longer as in `before`, as a predicate: `changed the umask to 0000`, `left 1 thread
  // running`. Empty: nothing.
  [[nodiscard]] std::string change_since(const ProcessState& before, Descriptors descriptors) const;

 private:
  struct Descriptor {
    dev_t device = 0;
    ino_t inode = 0;
    std::string target;  // what /proc calls it
    bool operator==(const Descriptor& other) const { return device == other.device && inode == other.inode; }
  };

  [[nodiscard]] std::string signals_since(const ProcessState& before) const;
  [[nodiscard]] std::string environment_since(const ProcessState& before) const;
  [[nodiscard]] std::string descriptors_since(const ProcessState& before) const;
  [[nodiscard]] std::string limits_since(const ProcessState& before) const;

  std::array<struct sigaction, NSIG> actions_{};
  sigset_t mask_{};
  unsigned threads_ = 1;
  bool children_ = false;
  bool timer_ = false;
  mode_t umask_ = 0;
  std::string directory_;
  std::string locale_;
  std::map<std::string, std::string> environment_;
  std::map<int, Descriptor> descriptors_;
  std::array<rlimit, RLIM_NLIMITS> limits_{};
};

}  // namespace bulkhead::modules
