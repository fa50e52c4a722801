// What a master leaves to the next one in case it is killed: the process groups of its process children and its
// workers, in a file beside the control socket. Text, one line each:
//
//   bulkhead-runs 1 BOOT PIDNS SEEN        boot id, inode of the pid namespace, when it was last true
//   group PID START PATIENCE SIGNAL PATH   PATIENCE: its shutdown in ms; SIGNAL: its stop_signal
//   leader PID START PATIENCE SIGNAL PATH  the same for kill_mode process
//   worker PID START PATH
//
// START is the kernel's start time of the process, SEEN the same clock: ticks since boot (proc(5)). A pid alone is not
// believed by anybody: the number may be another process by then.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "worker/sys/result.h"

namespace bulkhead::process {

struct GroupRecord {
  pid_t leader = 0;
  std::uint64_t start = 0;
  std::uint64_t patience_ms = 0;
  int stop_signal = 0;
  std::string path;
  bool alone = false;  // its leader, without the group
  bool operator==(const GroupRecord&) const = default;
};
struct WorkerRecord {
  pid_t pid = 0;
  std::uint64_t start = 0;
  std::string path;
  bool operator==(const WorkerRecord&) const = default;
};
struct Runs {
  std::uint64_t seen = 0;
  std::vector<GroupRecord> groups;
  std::vector<WorkerRecord> workers;
};

// Where the pids of a file have a meaning: this boot of this machine, and this pid namespace.
struct Habitat {
  std::string boot;
  std::uint64_t pid_namespace = 0;
  bool operator==(const Habitat&) const = default;
};
[[nodiscard]] Habitat habitat();
[[nodiscard]] std::uint64_t ticks_since_boot() noexcept;

[[nodiscard]] std::string text_of(const Runs& runs, const Habitat& habitat);
// Nothing: it is no such text, or one of another habitat. Pure, whatever the bytes.
[[nodiscard]] std::optional<Runs> runs_in(std::string_view text, const Habitat& habitat) noexcept;

class RunsFile {
 public:
  RunsFile() = default;
  explicit RunsFile(const std::string& control_socket) : path_(control_socket + ".runs") {}

  // The file of an earlier master. It has to be a regular file of ours that nobody else may read or write, with one
  // name; an error otherwise, and ENOENT where there is none. Only for the holder of the control socket.
  [[nodiscard]] sys::Result<std::optional<Runs>> read() const;
  // Replaces it as a whole, mode 0600. Writes where there is memory or a page cache, and does not wait for a disk.
  [[nodiscard]] std::optional<sys::Error> write(const Runs& runs) const;
  void remove() const noexcept;
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
};

}  // namespace bulkhead::process
