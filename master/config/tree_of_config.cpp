#include "master/config/tree_of_config.h"

#include <string>

namespace bulkhead::config {

using supervision::ChildSpec;
using supervision::RestartDelay;

namespace {

// Compared by value, so that a dumped configuration means what the original did.
RestartDelay delay_of_workers(const RestartDelay& of_listener) {
  static constexpr RestartDelay kDefault{.enabled = true};
  RestartDelay out = of_listener;
  if (out == kDefault) {
    out.min = std::chrono::milliseconds(100);
    out.max = std::chrono::seconds(5);
  }
  out.immediate_after_ready = true;
  return out;
}

}  // namespace

ChildSpec worker_spec(std::uint32_t number, const RestartDelay& of_listener) {
  ChildSpec spec;
  spec.id = std::to_string(number);
  spec.type = supervision::NodeType::worker;
  spec.restart_delay = delay_of_workers(of_listener);
  return spec;
}

std::vector<ChildSpec> worker_specs(std::uint32_t count, const RestartDelay& of_listener) {
  std::vector<ChildSpec> out;
  for (std::uint32_t number = 1; number <= count; ++number) out.push_back(worker_spec(number, of_listener));
  return out;
}

ChildSpec tree_of_config(const config::Node& node) {
  ChildSpec spec = node.spec;
  for (const config::Node& child : node.children) spec.children.push_back(tree_of_config(child));
  if (node.listener) spec.children = worker_specs(node.listener->workers, node.spec.restart_delay);
  return spec;
}

}  // namespace bulkhead::config
