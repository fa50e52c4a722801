// Pipes of runs that are over, which strays outside their groups keep open. The master's ends are closed when the time
// is over, even if another process holds the other ends. Output that waits for room in the log is kept as long as it
// has to wait, but only that of the last few runs of a process: what a process writes that crashes again and again
// while nobody reads the log is dropped, and counted. Checked every 100 ms.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "master/process/child_output.h"
#include "master/supervision/event.h"

namespace bulkhead::process {

class OutputRemains {
 public:
  using Instant = supervision::Instant;

  // Keeps `output` until its end of file, at most until the deadline.
  void add(std::string path, Instant now, Instant deadline, std::unique_ptr<ChildOutput> output);

  void on_deadline(Instant now);
  [[nodiscard]] std::optional<Instant> next_deadline() const;
  // The daemon ends: logs what has come. Blocks while the log has no room, but not for longer than `patience`.
  void finish(std::chrono::milliseconds patience);
  // For another program to continue with, and the continuation there.
  [[nodiscard]] std::vector<RemainsHandover> hand_over() const;
  void resume(const RemainsHandover& from, Instant now, std::unique_ptr<ChildOutput> output);

 private:
  struct Remains {
    std::string path;
    Instant next_look;
    Instant deadline;
    std::unique_ptr<ChildOutput> output;  // null: over
  };
  void make_room_for(const std::string& path);
  static void look_at(Remains& remains, Instant now);

  std::vector<Remains> remains_;
};

}  // namespace bulkhead::process
