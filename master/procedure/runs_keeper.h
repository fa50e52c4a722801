// Keeps the file by which the next master finds what this one leaves if it is killed (process/runs_file.h).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "master/process/runs_file.h"
#include "master/running/children.h"

namespace bulkhead::procedure {

class RunsKeeper {
 public:
  // `children` must outlive it.
  RunsKeeper(const running::Children& children, const std::string& control_socket)
      : children_(children), file_(control_socket) {}

  // For the holder of the control socket, before the first child is started. Blocks while it ends what a killed master
  // left.
  void clear_up_after_former_life();
  // In place of that, in a program that continues: the file of the one before names the same.
  void resume();
  // Writes at once if a process has begun or a run is over; cheap otherwise.
  void keep();
  // Once a second: writes if workers have changed, and every 10 s, so that members of a group that were forked since
  // can be verified.
  void tick();
  // How many connections the living workers of previous daemons have.
  [[nodiscard]] std::uint32_t earlier_connections() const;
  // The daemon ends, and has ended its processes. Removes the file, unless workers of this life or of earlier ones
  // continue with their connections.
  void end();

 private:
  void write(process::Runs runs);
  [[nodiscard]] process::Runs runs();
  [[nodiscard]] std::uint64_t start_of(supervision::RunId run, pid_t pid);

  const running::Children& children_;
  std::vector<process::WorkerRecord> former_;  // workers of previous daemons
  process::RunsFile file_;
  std::optional<std::uint64_t> changes_;  // of processes, as written
  process::Runs written_;
  using Starts = std::map<std::pair<supervision::RunId, pid_t>, std::uint64_t>;
  Starts starts_;  // start times of those that live
  int ticks_ = 0;
  bool failed_ = false;
  bool over_ = false;
};

}  // namespace bulkhead::procedure
