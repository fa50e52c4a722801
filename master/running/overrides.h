// What operators have changed in the tree since it was started from the configuration: nodes that they have stopped or
// deleted, and listeners to which they have given another number of workers. (Suspended listeners are remembered by
// their gates, added children by the catalogue.) Also processes that a failed reload has left stopped, which nobody
// wanted. A record outlives reloads, restarts and upgrades; it goes with the next start of its node, or with the node
// itself. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "master/config/config.h"
#include "master/supervision/child_spec.h"
#include "master/supervision/command.h"

namespace bulkhead::running {

struct ScaledRecord {
  std::string path;
  std::uint32_t workers = 0;
};
// For another program to continue with.
struct OverridesRecord {
  std::vector<std::string> stopped;
  std::vector<std::string> deleted;
  std::vector<std::string> interrupted;
  std::vector<ScaledRecord> scaled;
};

class Overrides {
 public:
  // An operator wants it stopped. A temporary child leaves the tree with its end, and the record stays.
  void stop(const std::string& path);
  void unstop(const std::string& path) { stopped_.erase(path); }
  [[nodiscard]] bool is_stopped(const std::string& path) const { return stopped_.contains(path); }

  // A failed reload could not start it again: the next one does.
  void interrupt(const std::string& path) { interrupted_.insert(path); }
  [[nodiscard]] bool is_interrupted(const std::string& path) const { return interrupted_.contains(path); }

  // An operator has deleted its entry; whatever was recorded about it, or about a node below it, is forgotten.
  void erase(const std::string& path);
  [[nodiscard]] bool is_erased(const std::string& path) const { return deleted_.contains(path); }

  // The number of workers of a listener. The one that its entry names is no override.
  void scale(const std::string& listener, std::uint32_t workers, std::uint32_t in_file);
  [[nodiscard]] std::optional<std::uint32_t> workers_of(const std::string& listener) const;
  void unscale() { scaled_.clear(); }  // all of them

  // Whatever is recorded about the node at `path` and those below it.
  void forget(const std::string& path);
  // What the tree reports: a node that starts is no longer stopped, and one that leaves is no longer scaled.
  void told(const supervision::Report& report);
  // Another configuration takes effect: it ends a number of workers if it names another one than before.
  void take_over(const config::Node& old_root, const config::Node& new_root);

  // The spec of the node at `path`, as the configuration describes it, with the numbers of workers set by operators at
  // and below it.
  [[nodiscard]] supervision::ChildSpec applied_to(supervision::ChildSpec spec, const std::string& path) const;

  [[nodiscard]] OverridesRecord record() const;
  void resume(const OverridesRecord& from);

 private:
  void started(const std::string& path);

  std::set<std::string> stopped_;
  std::set<std::string> deleted_;
  std::set<std::string> interrupted_;
  std::map<std::string, std::uint32_t> scaled_;
};

}  // namespace bulkhead::running
