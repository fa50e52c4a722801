// Requests to Operations, for its tests.
#pragma once

#include <chrono>
#include <string>
#include <utility>

#include "tests/unit/procedure/asked.h"
#include "tests/unit/rig/rig.h"

namespace bulkhead::procedure {

inline constexpr std::chrono::milliseconds kAnEnding(500);  // more than any needs whose workers obey

inline config::Node node_of(const std::string& entry) {
  config::Config config = rig::config_of(rig::file_with(entry));
  return std::move(config.root.children.front());
}

inline void add(rig::Rig& rig, const std::string& entry, Asked& asked, const std::string& supervisor = "root") {
  rig.operations.add(node_of(entry), {supervisor, entry, "", ""}, asked.done());
  rig.settle();
}

}  // namespace bulkhead::procedure
