// What a worker that never became ready leaves behind, to be ended with it. A module may have forked while it started,
// and its child be in a session of its own; when the worker crashes, or is killed because it takes too long, this stray
// becomes a child of the master. It still has the listening sockets, so that the port would answer to nobody, and
// nobody else could bind it. (A worker that refuses a module ends these processes itself.)
//
// A stray is a child of the master which is nobody's (no worker, no process of the tree, no connection), which began
// after that worker did, and which
//   has the title of a worker that is still starting: it was forked there and has executed nothing since; or
//   has another program's title, and a listening socket of that listener. The sockets of connections and of ready
//   workers have no such holder: all of these have titles of ours.
// The descriptors of another process may be hidden from us (proc(5), PR_SET_DUMPABLE); its title and its time are not.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "master/process/child_system.h"
#include "master/supervision/event.h"
#include "worker/sys/children.h"

namespace bulkhead::process {

// argv[0] of a worker, and its title until it is ready: long enough to write any title into (worker/sys/title.h).
[[nodiscard]] std::string starting_title();

class StraySearch {
 public:
  using Instant = supervision::Instant;
  using IsKnown = std::function<bool(pid_t)>;
  enum class Step {
    again,  // there is more to do
    waits,  // until those are reaped() that it has killed, or until deadline()
    over    // nothing is left, or the deadline has passed
  };
  struct Left {
    std::string path;            // the worker's
    std::uint64_t began = 0;     // ChildSystem::start_time()
    std::vector<ino_t> sockets;  // of its listener
  };

  explicit StraySearch(Instant now) noexcept;
  // Another worker has ended: the search begins anew. The deadline stays.
  void add(Left left);
  // For some milliseconds. `is_known`: a child that is somebody's.
  [[nodiscard]] Step go_on(ChildSystem& system, const IsKnown& is_known, Instant now);
  void reaped(pid_t pid) { killed_.erase(pid); }
  // When go_on() is due although nothing happens.
  [[nodiscard]] Instant deadline() const noexcept;

 private:
  [[nodiscard]] const Left* owner_of(ChildSystem& system, pid_t pid, const std::string& title) const;
  [[nodiscard]] bool may_be_executing(ChildSystem& system, pid_t pid) const;
  void look_at(ChildSystem& system, pid_t pid, Instant now);
  [[nodiscard]] bool walk(ChildSystem& system, const IsKnown& is_known, Instant now);
  void give_up() const;

  Instant deadline_;
  std::vector<Left> left_;
  sys::ChildWalk walk_;
  std::vector<pid_t> ahead_;  // of the walk
  bool walks_ = false;
  bool again_ = false;                     // another walk is needed: a stray's own children become ours when it ends
  std::optional<Instant> executes_until_;  // until then, who has no title is looked at again
  std::optional<Instant> next_look_;
  std::set<pid_t> killed_;  // and not reaped yet
  std::set<pid_t> told_;
};

}  // namespace bulkhead::process
