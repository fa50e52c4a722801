// An entry of the configuration by its path in the tree.
#pragma once

#include <string>

#include "master/config/config.h"

namespace bulkhead {

// `at` is the path of `node`. Null: neither it nor anything below it is at `path`.
[[nodiscard]] inline const config::Node* find_node(const config::Node& node, const std::string& at,
                                                   const std::string& path) {
  if (at == path) return &node;
  if (!path.starts_with(at + "/")) return nullptr;
  for (const config::Node& child : node.children) {
    if (const config::Node* found = find_node(child, at + "/" + child.spec.id, path)) return found;
  }
  return nullptr;
}

}  // namespace bulkhead
