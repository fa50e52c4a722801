// The remains of a process child: the rest of its process group, and pipes that strays keep open. The group was asked
// to end while its leader was still a zombie, which pins its number; here it is killed when its time is over, and the
// master's ends of the pipes are closed, even if another process holds the other ends. Checked every 100 ms
// (end_left_over() in worker/sys/signal.h).
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "master/process/child_output.h"
#include "master/supervision/event.h"

namespace bulkhead::process {

class GroupRemains {
 public:
  using Instant = supervision::Instant;

  // `group` 0: no process is left. Keeps `output` until its end of file, at most until the deadline.
  void add(std::string path, pid_t group, Instant now, Instant deadline, std::unique_ptr<ChildOutput> output);

  void on_deadline(Instant now);
  [[nodiscard]] std::optional<Instant> next_deadline() const;
  void kill_all();
  // For another program to continue with, and the continuation there.
  [[nodiscard]] std::vector<RemainsHandover> hand_over() const;
  void resume(const RemainsHandover& from, Instant now, std::unique_ptr<ChildOutput> output);
  [[nodiscard]] std::size_t groups_left() const;

 private:
  struct Remains {
    std::string path;
    pid_t group;
    Instant next_look;
    Instant deadline;
    std::unique_ptr<ChildOutput> output;  // null: over
  };
  static void look_at(Remains& remains, Instant now);
  static void end(Remains& remains);

  std::vector<Remains> remains_;
};

}  // namespace bulkhead::process
