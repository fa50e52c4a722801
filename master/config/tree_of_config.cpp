#include "master/config/tree_of_config.h"

#include <string>

namespace bulkhead::config {

using supervision::ChildSpec;

ChildSpec worker_spec(std::uint32_t number, const supervision::RestartDelay& delay) {
  ChildSpec spec;
  spec.id = std::to_string(number);
  spec.type = supervision::NodeType::worker;
  spec.restart_delay = delay;
  spec.restart_delay.immediate_after_ready = true;
  return spec;
}

ChildSpec tree_of_config(const config::Node& node) {
  ChildSpec spec = node.spec;
  for (const config::Node& child : node.children) spec.children.push_back(tree_of_config(child));
  if (!node.listener) return spec;
  for (std::uint32_t i = 1; i <= node.listener->workers; ++i) {
    spec.children.push_back(worker_spec(i, node.spec.restart_delay));
  }
  return spec;
}

}  // namespace bulkhead::config
