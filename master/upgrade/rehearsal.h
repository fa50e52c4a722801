// The dry run: finds out whether this program could continue with a handover, without touching anything that it names.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "master/config/config.h"
#include "master/reload/confirmation.h"
#include "master/supervision/child_spec.h"
#include "master/upgrade/handover.h"

namespace bulkhead::upgrade {

// The configuration of a handover, and the children that operators have added to it; `problem`: why there is none.
struct Blueprint {
  std::optional<config::Config> config;
  std::string effective;
  std::vector<config::Node> added;    // as in Handover::added
  std::vector<config::Node> leaving;  // as in Handover::leaving
  std::string problem;
};
[[nodiscard]] Blueprint blueprint_of(const Handover& from);

// The entry at a path; null: none.
using FindEntry = std::function<const config::Node*(const std::string& path)>;
// The child spec of the node at `path`, for a tree that is restored; nothing: no entry describes the node.
[[nodiscard]] std::optional<supervision::ChildSpec> spec_of(const std::string& path, supervision::NodeType type,
                                                            const FindEntry& find);

// What the other program's reload has to be confirmed against; nothing if none does, or if it cannot be read.
[[nodiscard]] std::optional<reload::Unconfirmed> unconfirmed_of(const Handover& from);

// Performs the steps of Upgrade::resume() as in process `pid`, without touching anything. Returns the problem.
[[nodiscard]] std::string rehearse_resume(const Handover& from, int pid);
// Checks that workers of this program become ready: for each listener with modules, whose libraries they load, and for
// one of the other listeners.
[[nodiscard]] std::string rehearse_workers(const Handover& from);

}  // namespace bulkhead::upgrade
