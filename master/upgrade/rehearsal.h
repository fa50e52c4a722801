// The dry run: whether this program could continue with a handover, found out without touching anything that it names.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "master/config/config.h"
#include "master/supervision/child_spec.h"
#include "master/upgrade/handover.h"

namespace bulkhead::upgrade {

// The configuration that a handover speaks of, and what operators have added to it; `problem`: why there is none.
struct Blueprint {
  std::optional<config::Config> config;
  std::string effective;
  std::vector<config::Node> added;  // as in Handover::added
  std::string problem;
};
[[nodiscard]] Blueprint blueprint_of(const Handover& from);

// The entry at a path; null: there is none.
using FindEntry = std::function<const config::Node*(const std::string& path)>;
// How the node at `path` is started, for a tree that is restored; nothing: nothing describes it.
[[nodiscard]] std::optional<supervision::ChildSpec> spec_of(const std::string& path, supervision::NodeType type,
                                                            const FindEntry& find);

// What Upgrade::resume() would do in process `pid`, short of touching anything. Returns the problem.
[[nodiscard]] std::string rehearse_resume(const Handover& from, int pid);
// Whether workers of this program become ready: for each listener with modules, whose libraries they load, and for one
// of the others.
[[nodiscard]] std::string rehearse_workers(const Handover& from);

}  // namespace bulkhead::upgrade
